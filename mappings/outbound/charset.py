"""The charset of a message that is written: the receiver's word for it, and the codec that writes what he can read."""

from mappings.hl7v2.charset import ALIASES

# A receiver that says GBK can't read the four-byte characters of GB 18030, so they aren't written as such.
_NARROW = {"gbk": "gbk", "cp936": "gbk", "ms936": "gbk", "windows936": "gbk", "936": "gbk"}
_NARROW |= {"gb2312": "gb2312", "gb231280": "gb2312", "euccn": "gb2312"}
# What the declaration says for a codec whose spelling in settings is free (HL7 table 0211).
_DECLARED = {"utf-8": "UNICODE UTF-8", "gb18030": "GB 18030-2000", "ascii": "ASCII"}


def writing_codec(name: str) -> str | None:
    """Return the codec for a charset's name ("GBK", "gb18030", "UNICODE UTF-8"); None for an unknown one."""
    folded = "".join(mark for mark in name.lower() if mark.isalnum())
    return _NARROW.get(folded) or ALIASES.get(folded)


def declared_name(name: str) -> str:
    """Return what stands in MSH-18: the word of table 0211 where it has one, else the receiver's own."""
    return _DECLARED.get(writing_codec(name) or "", name.upper())
