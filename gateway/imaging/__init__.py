"""The imaging side of the gateway: objects kept, studies and orders brought together, worklists, forwarding."""
