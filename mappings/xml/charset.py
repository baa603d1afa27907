"""The charset ladder of XML: byte-order mark, the declaration where it is true, UTF-8, GB 18030, the fallback.

A document that declares GB2312 or GBK may hold any character of GB 18030, and one that declares UTF-8 may really be
GBK: the declaration is a template's, the bytes are the database's (XML 1.0 appendix F; docs/adapters/hl7v3.md).
"""

import re

from mappings.hl7v2.charset import ALIASES, Decoded, declared_fits, fold, guess
from terminology.issues import Issue, MalformedMessage

_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z0-9._:\s-]{1,40})["']""")
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BARE = ((b"<\x00?\x00", "utf-16-le"), (b"\x00<\x00?", "utf-16-be"))


def decode(raw: bytes, *, fallback: str | None = None) -> Decoded:
    """Return the text of a document; raises MalformedMessage (HT-XML-01) when no charset fits."""
    for mark, codec in _MARKS:
        if raw.startswith(mark):
            return _decoded(raw[len(mark) :], codec, declared_charset(raw[len(mark) :]), [])
    for start, codec in _BARE:
        if raw.startswith(start):
            return _decoded(raw, codec, None, [])
    declared = declared_charset(raw)
    known = ALIASES.get(fold(declared)) if declared else "utf-8"
    if raw.isascii():
        return _decoded(raw, "utf-8" if known is None or known.startswith("utf-16") else known, declared, [])
    issues: list[Issue] = []
    if known is None:
        issues.append(Issue("HT-XML-06", {"charset": declared}, "warning", source="encoding"))
    elif not known.startswith("utf-16") and declared_fits(raw, known):
        return _decoded(raw, known, declared, [])
    else:
        issues.append(Issue("HT-XML-07", {"charset": declared or "UTF-8"}, "warning", source="encoding"))
    found = guess(raw, fallback)
    if found is None:
        raise MalformedMessage("HT-XML-01", source="encoding", charset=declared or "UTF-8")
    issues.append(Issue("HT-XML-08", {"codec": found}, "information", source="encoding"))
    decoded = _decoded(raw, found, declared, issues)
    return Decoded(decoded.text, decoded.codec, declared, True, decoded.issues)


def declared_charset(raw: bytes) -> str | None:
    """Return the word of `<?xml … encoding="…"?>`."""
    found = _DECLARATION.match(raw[:400])
    return found[1].decode("ascii").strip() if found else None


def _decoded(raw: bytes, codec: str, declared: str | None, issues: list[Issue]) -> Decoded:
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        raise MalformedMessage("HT-XML-01", source="encoding", charset=declared or codec) from None
    return Decoded(text, codec, declared, False, tuple(issues))
