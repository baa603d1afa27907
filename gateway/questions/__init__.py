"""What senders ask and hear at once: patients, numbers, the orders of a sample. Nothing is stored, so nothing is journaled."""

HEAD = 512
"""Bytes in which a question shows itself."""
REQUEST = b"ORC|RF"


def may_be_question(raw: bytes) -> bool:
    """Tell from the first bytes whether an HL7 v2 message may be a question, before anything is read or imported."""
    head = raw[:HEAD]
    return b"QBP" in head or b"QRY" in head or REQUEST in raw[: 4 * HEAD]
