"""Mutual recognition at work: evidence from the store, decisions, reminders, statistics."""
