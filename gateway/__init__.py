"""Channels, journal, store, REST, search, workflows, access, console, command line."""
