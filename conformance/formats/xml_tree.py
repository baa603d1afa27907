"""XML bytes → a small tree with the place of each element; no DTD, no entities, no network, bounded depth.

The XHTML of a narrative is kept as the very text that stood in the document.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from terminology.issues import FhirError, InvalidInput, TooLarge

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 200

_ENCODING = re.compile(rb"""<\?xml[^>]*\sencoding\s*=\s*["']([^"']+)""")
_DIV = re.compile(rb"""<div(\s[^>]*)?\sxmlns\s*=\s*["']http://www\.w3\.org/1999/xhtml["']""")


@dataclass
class Node:
    """One element; `text` is what it holds beside its children. `xhtml` is set on a narrative's div only."""

    name: str
    namespace: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list["Node"] = field(default_factory=list)
    text: str = ""
    xhtml: str | None = None

    @property
    def source(self) -> str:
        return f"line {self.line} column {self.column}"


def parse_tree(body: bytes) -> Node:
    """Return the root element.

    Raises InvalidInput (HT-FMT-06 not well-formed, HT-FMT-07 DOCTYPE) and TooLarge (HT-FMT-03, -05).
    """
    if len(body) > MAX_BYTES:
        raise TooLarge("HT-FMT-05", size=len(body), limit=MAX_BYTES)
    reader = _Reader(body)
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as problem:
        line, column = problem.lineno, problem.offset + 1
        source, wording = f"line {line} column {column}", expat.ErrorString(problem.code)
        raise InvalidInput("HT-FMT-06", source=source, problem=wording, line=line, column=column) from None
    except (ValueError, LookupError) as problem:  # an encoding that expat does not read
        raise InvalidInput("HT-FMT-06", line=1, column=1, problem=str(problem)) from None
    return reader.root


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        # Anything but UTF-8 is written anew; a slice of the bytes would need the document's encoding.
        self.is_utf8 = not (found := _ENCODING.match(body)) or found[1].lower() in (b"utf-8", b"us-ascii")
        self.div_start = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.ordered_attributes = False
        self.parser.StartDoctypeDeclHandler = self._refuse_declaration
        self.parser.EntityDeclHandler = self._refuse_declaration
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.root: Node = Node("", "", {}, 1, 1)
        self.open: list[Node] = []
        # Pieces of the narrative being copied, and how deep inside its div we are.
        self.xhtml: list[str] = []
        self.inside = 0
        self.unclosed = False

    def _place(self) -> tuple[int, int]:
        return self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1

    def _refuse_declaration(self, *_: Any) -> None:
        raise self._problem(InvalidInput, "HT-FMT-07")

    def _problem(self, kind: type[FhirError], code: str, **values: Any) -> FhirError:
        line, column = self._place()
        return kind(code, source=f"line {line} column {column}", line=line, column=column, **values)

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        if len(self.open) + self.inside >= MAX_DEPTH:
            raise self._problem(TooLarge, "HT-FMT-03", limit=MAX_DEPTH)
        namespace, _, name = qualified.rpartition(" ")
        if self.inside or (namespace == XHTML and name == "div" and self.open):
            self._copy_start(namespace, name, attributes)
            return
        node = Node(name, namespace, attributes, *self._place())
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)

    def _copy_start(self, namespace: str, name: str, attributes: dict[str, str]) -> None:
        if not self.inside:
            self.open[-1].children.append(Node(name, namespace, {}, *self._place()))
            self.xhtml = []
            self.div_start = self.parser.CurrentByteIndex
        self._close_tag()
        written = "".join(f" {key.rpartition(' ')[2]}={_quoted(value)}" for key, value in attributes.items())
        declaration = f' xmlns="{namespace}"' if not self.inside else ""
        self.xhtml.append(f"<{name}{declaration}{written}")
        self.unclosed = True
        self.inside += 1

    def _close_tag(self) -> None:
        if self.unclosed:
            self.xhtml.append(">")
            self.unclosed = False

    def _end(self, qualified: str) -> None:
        if not self.inside:
            self.open.pop()
            return
        if self.unclosed:
            self.xhtml.append("/>")
            self.unclosed = False
        else:
            self.xhtml.append(f"</{qualified.rpartition(' ')[2]}>")
        self.inside -= 1
        if not self.inside:
            self.open[-1].children[-1].xhtml = self._sliced() or "".join(self.xhtml)

    def _sliced(self) -> str | None:
        """Return the div as it stands in the document, when that text means the same on its own."""
        end = self.parser.CurrentByteIndex
        if not self.is_utf8 or not self.body.startswith(b"</", end):
            return None
        text = self.body[self.div_start : self.body.index(b">", end) + 1]
        return text.decode() if _DIV.match(text) else None

    def _text(self, text: str) -> None:
        if self.inside:
            self._close_tag()
            self.xhtml.append(escape(text))
        elif self.open:
            self.open[-1].text += text


def _quoted(value: str) -> str:
    return quoteattr(value, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
