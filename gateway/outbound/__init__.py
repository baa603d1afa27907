"""The way out: what others must hear of leaves by durable queues, one for each destination and subscription."""
