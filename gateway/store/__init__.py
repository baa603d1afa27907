"""Where resources live: one protocol, several stores, one contract suite."""
