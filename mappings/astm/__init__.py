"""Laboratory devices that speak ASTM: frames (E1381, LIS01-A2) and records (E1394, LIS02-A2)."""

from mappings.astm.message import AstmMessage, Record, parse

__all__ = ["AstmMessage", "Record", "parse"]
