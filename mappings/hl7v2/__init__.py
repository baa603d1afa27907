"""HL7 v2 messages: bytes to lazily read fields and back, without I/O (HL7 v2.8 chapter 2)."""

from mappings.hl7v2.charset import Decoded, decode
from mappings.hl7v2.message import NULL, STANDARD, Delimiters, Message, Segment, parse

__all__ = ["NULL", "STANDARD", "Decoded", "Delimiters", "Message", "Segment", "decode", "parse"]
