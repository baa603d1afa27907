"""The messages that `hutong demo` sends, as hospitals send them (SOURCES.md)."""
