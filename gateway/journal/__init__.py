"""The message journal: raw bytes durable before the acknowledgement, and what became of each message."""

from gateway.journal.entry import Checkpoint, Code, Done, Entry, Incoming, Receipt, State
from gateway.journal.journal import Journal
from gateway.journal.listing import Filter, Page

__all__ = ["Checkpoint", "Code", "Done", "Entry", "Filter", "Incoming", "Journal", "Page", "Receipt", "State"]
