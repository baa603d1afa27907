"""Sources that the gateway reads of its own accord: folders, database views, vendor interfaces (docs/operations/sources.md)."""
