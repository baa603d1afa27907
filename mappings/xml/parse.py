"""XML bytes → tree. Bounded in size, depth and number of elements; a DOCTYPE is refused before anything in it is read.

expat builds the tree as it reads, so that a limit ends the reading and nothing larger than the limit is ever in
memory. Undeclared prefixes are let through: half of the hand-made messages have one.
"""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from mappings.hl7v2.charset import Decoded
from mappings.xml.charset import decode
from mappings.xml.tree import Element
from terminology.issues import FhirError, Issue, MalformedMessage, TooLarge

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_ELEMENTS = 200_000
MAX_ATTRIBUTES = 200
XSI = "http://www.w3.org/2001/XMLSchema-instance"

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CONTROL_REFERENCES = re.compile(r"&#(?:x0*(?:[0-8bcBCefEF]|1[0-9a-fA-F])|0*(?:[0-8]|1[124-9]|2\d|3[01]));")


@dataclass(frozen=True, slots=True)
class XmlMessage:
    """`root` and the charset facts; `namespace` of the root, "" when it has none; `raw`: the bytes as sent.

    `shapes`: the same message in other shapes, as far as they were asked for (mappings/xml/shapes.py).
    """

    root: Element
    decoded: Decoded
    namespace: str
    issues: tuple[Issue, ...]
    raw: bytes = b""
    shapes: "dict[str, XmlMessage]" = field(default_factory=dict, compare=False, repr=False)


def parse(raw: bytes, *, fallback: str | None = None) -> XmlMessage:
    """Return the message; raises MalformedMessage (HT-XML-01 charset, -02 not well-formed, -03 DOCTYPE) and
    TooLarge (HT-XML-04 size, HT-XML-05 depth or number of elements)."""
    if len(raw) > MAX_BYTES:
        raise TooLarge("HT-XML-04", limit=MAX_BYTES)
    decoded = decode(raw, fallback=fallback)
    text, issues = decoded.text.lstrip("\ufeff \t\r\n\x00\x0b"), list(decoded.issues)
    text = text.rstrip("\x00\x1c\r\n \t")
    # XML 1.0 has no control characters at all; databases hand them on all the same.
    if _CONTROLS.search(text) or _CONTROL_REFERENCES.search(text):
        text, count = _CONTROLS.subn("", text)
        text, more = _CONTROL_REFERENCES.subn("", text)
        issues.append(Issue("HT-XML-09", {"count": count + more}, "warning"))
    builder = _Builder()
    builder.read(text)
    assert builder.root is not None
    return XmlMessage(builder.root, decoded, builder.namespace, tuple(issues), raw)


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self.namespace = ""
        self.here: Element | None = None
        self.depth = 0
        self.count = 0
        # Prefixes that stand for the schema instance namespace in this document.
        self.xsi = {"xsi"}
        self.parser = expat.ParserCreate(encoding="utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def read(self, text: str) -> None:
        try:
            self.parser.Parse(text.encode(), True)
        except expat.ExpatError as error:
            line, column = error.lineno, error.offset + 1
            raise MalformedMessage(
                "HT-XML-02",
                source=f"line {line} column {column}",
                line=line,
                column=column,
                reason=expat.ErrorString(error.code),
            ) from None
        finally:
            # The handlers hold the builder and the builder the parser.
            self.parser.StartElementHandler = self.parser.EndElementHandler = None
            self.parser.CharacterDataHandler = self.parser.StartDoctypeDeclHandler = None

    def _start(self, name: str, given: dict[str, str]) -> None:
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH or self.count > MAX_ELEMENTS or len(given) > MAX_ATTRIBUTES:
            raise self._too_large()
        for key in given:
            if ":" in key or key == "xmlns":
                attributes = self._attributes(given)
                break
        else:
            attributes = given
        parent = self.here
        local = name.rpartition(":")[2] if ":" in name else name
        element = Element(local, attributes, parent, self.parser.CurrentLineNumber)
        if parent is None:
            self.root = element
            prefix = name.rpartition(":")[0]
            self.namespace = given.get(f"xmlns:{prefix}" if prefix else "xmlns", "")
        else:
            parent.children.append(element)
            alike = parent.kids.get(local)
            if alike is None:
                parent.kids[local] = [element]
            else:
                alike.append(element)
        self.here = element

    def _attributes(self, given: dict[str, str]) -> dict[str, str]:
        """Return the attributes by local name, declarations left out; `xsi:` and `xml:` stay."""
        self.xsi.update(name[6:] for name, value in given.items() if value == XSI and name[:6] == "xmlns:")
        made: dict[str, str] = {}
        for name, value in given.items():
            prefix, mark, local = name.rpartition(":")
            if name == "xmlns" or prefix == "xmlns":
                continue
            kept = f"xsi:{local}" if prefix in self.xsi else name if not mark or prefix == "xml" else local
            made[kept] = value
        return made

    def _end(self, _name: str) -> None:
        self.depth -= 1
        assert self.here is not None
        self.here = self.here.parent

    def _text(self, data: str) -> None:
        here = self.here
        if here is None:
            return
        if here.children:
            if not data.isspace() or "\n" not in data:
                last = here.children[-1]
                last.tail += data
        else:
            here.text += data

    def _refuse(self, *_: object) -> None:
        raise MalformedMessage("HT-XML-03", source=f"line {self.parser.CurrentLineNumber}")

    def _too_large(self) -> FhirError:
        return TooLarge(
            "HT-XML-05", source=f"line {self.parser.CurrentLineNumber}", depth=MAX_DEPTH, count=MAX_ELEMENTS
        )
