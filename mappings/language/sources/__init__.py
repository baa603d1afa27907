"""The readers of the mapping language: how paths of one format are parsed, checked and turned into Python.

A reader has two halves. Its compile-time half (`Source`) parses paths, opens loops for `each` and returns Python
expressions; its run-time half is an object of named functions that those expressions call. A further format adds a
module here and a row to `SOURCES`; the language itself stays as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mappings.language.document import Document


class SourceError(ValueError):
    """A path or an `each` that this map's source doesn't have; the text says why."""


@dataclass(eq=False)
class Level:
    """One loop of the generated function, the message itself being the outermost.

    `key`: the `each` steps that lead here; `header`: the `for` line; `state`: what the source remembers of the scope.
    """

    key: tuple[str, ...]
    parent: "Level | None"
    header: str
    state: Any
    children: dict[str, "Level"] = field(default_factory=dict)

    def chain(self) -> list["Level"]:
        """This level and those around it, innermost first."""
        return [self, *self.parent.chain()] if self.parent is not None else [self]


class Source(Protocol):
    """The compile-time half of a reader, made for one map.

    `text`, `raw`, `raws`, `present` return Python expressions: the text ("" when absent), the value for a converter
    (falsy when absent), the list of values, whether it is there. `texts` is the list of unescaped texts.
    """

    def read_path(self, text: str, at: int) -> tuple[Any, int] | None: ...
    def root(self) -> Level: ...
    def open(self, parent: Level, each: str) -> Level: ...
    def prelude(self, level: Level) -> list[str]: ...
    def settle(self, code: str) -> str:
        """Return the finished code; called once, with the whole function."""

    def text(self, path: Any, level: Level) -> str: ...
    def texts(self, path: Any, level: Level) -> str: ...
    def raw(self, path: Any, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str: ...
    def raws(self, path: Any, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str: ...
    def present(self, path: Any, level: Level) -> str: ...
    def anchor(self, path: Any, level: Level) -> str | None:
        """Return an expression that tells whether the part of the message that holds `path` is there at all."""

    def is_all(self, path: Any) -> bool: ...
    def is_whole(self, path: Any) -> bool: ...
    def runtime(self, *, traced: bool) -> Any:
        """Return the factory of the run-time half."""


def open_source(document: Document, *, traced: bool) -> Source:
    """Return the source of a map's format; SourceError when there is no such format."""
    from mappings.language.sources.keywords import KeywordSource
    from mappings.language.sources.rows import RowSource
    from mappings.language.sources.segments import RecordSource, SegmentSource
    from mappings.language.sources.xml import XmlSource

    sources: dict[str, Callable[..., Source]] = {
        "hl7v2": SegmentSource,
        "astm": RecordSource,
        "dicom": KeywordSource,
        "json": RowSource,
        "table": RowSource,
        "xml": XmlSource,
        "ecg": RowSource,
    }
    if document.format not in sources:
        raise SourceError(f"format {document.format!r}; known: {', '.join(sources)}")
    return sources[document.format](document, traced=traced)
