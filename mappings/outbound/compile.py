"""Compile a map that runs back, and run it: a focus resource and what it refers to → the bytes that a receiver takes.

The lines are those of every map (docs/mapping.md); only the left sides are fields of segments, elements of XML or
members of JSON. A compiled map is immutable and named by the hash of its files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mappings.language.compile import built, without_repeats
from mappings.language.converters import Context, Sender
from mappings.language.document import Document
from mappings.language.emit import Generated
from mappings.language.errors import problem
from mappings.language.expression import Node
from mappings.language.result import Leaf, Unmapped
from mappings.language.runtime import Binder
from mappings.language.sources import Level, SourceError
from mappings.language.sources.focus import Focus
from mappings.language.sources.resources import ResourceSource
from mappings.language.trace import TracingBinder
from mappings.language.yaml_tree import Text, plain
from mappings.outbound.charset import writing_codec
from mappings.outbound.generate import OutboundGenerator, Plan
from mappings.outbound.hl7v2 import encode_message
from mappings.outbound.parts import Part
from mappings.outbound.shape import ShapeChecker
from mappings.outbound.xml import write_xml
from terminology.fhirjson import encode
from terminology.issues import InvalidInput, Issue
from terminology.translate import Translator

_NOBODY = Sender()
_MEDIA = {
    "hl7v2": "x-application/hl7-v2+er7",
    "xml": "application/xml",
    "json": "application/json",
}


@dataclass(frozen=True)
class Envelope:
    """What a map may ask of the message that it writes (`$id`, `$now`, `$sender.application` …).

    `now` with offset; `sender` and `receiver`: (application, facility) of MSH-3…6; `charset` as the receiver names it;
    `acknowledge`: MSH-15 and MSH-16, empty for the original mode.
    """

    id: str = ""
    now: datetime | None = None
    topic: str = ""
    reason: str = ""
    sender: tuple[str, str] = ("HUTONG", "")
    receiver: tuple[str, str] = ("", "")
    charset: str = "UTF-8"
    processing: str = "P"
    acknowledge: tuple[str, str] = ("", "")
    parameters: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the facts by the names that maps use."""
        now = self.now
        return {
            "id": self.id,
            "now": now.isoformat(timespec="seconds") if now is not None else None,
            "stamp": now.strftime("%Y%m%d%H%M%S") if now is not None else None,
            "topic": self.topic or None,
            "reason": self.reason or None,
            "charset": self.charset,
            "processing": self.processing,
            "accept": self.acknowledge[0],
            "application": self.acknowledge[1],
            "sender.application": self.sender[0] or None,
            "sender.facility": self.sender[1] or None,
            "receiver.application": self.receiver[0] or None,
            "receiver.facility": self.receiver[1] or None,
            **{f"parameter.{name}": value for name, value in self.parameters.items()},
        }


@dataclass
class Written:
    """What a map wrote. `content`: the segments or the nested body before they became bytes, for tests and traces."""

    body: bytes
    media_type: str
    mapping: str
    version: str
    content: Any
    charset: str = "UTF-8"
    issues: list[Issue] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    trace: list[Leaf] | None = None


@dataclass
class _Compiled:
    source: ResourceSource
    generated: Generated
    build: Any


class OutboundMap:
    """A map that runs back, ready to run. `focus`: the resource types that it starts from."""

    def __init__(self, document: Document) -> None:
        """Raises InvalidInput with every problem of every line (HT-MAP-…)."""
        self.document = document
        self.name = document.name
        self.version = document.version
        self.hash = document.hash
        self.format = document.format
        target = document.target
        if target is None:
            raise InvalidInput([problem("HT-MAP-02", document.place, key="target")])
        self.target = target
        self.focus = document.source.get("focus", ())
        self.tables = {
            name: {key: plain(row) for key, row in block.entries.items()}
            for name, block in document.tables.items()
        }
        self._plain = self._compile(traced=False)
        self._condition = self._compile_when()
        self._traced: _Compiled | None = None
        self._bound: dict[Any, tuple[Any, Any]] = {}
        self._asking: tuple[Any, Any, Translator] | None = None

    @property
    def code(self) -> str:
        return self._plain.generated.code

    @property
    def source(self) -> ResourceSource:
        """The compile-time source: which paths are read, and which referring resources must be looked for."""
        return self._plain.source

    def wants(self, focus: Focus, translator: Translator) -> bool:
        """Tell whether there is anything to write about this focus (the map's own `when`)."""
        if self.document.when is None:
            return True
        key = (id(translator), translator.revision)
        if self._asking is None or self._asking[0] != key:
            binder = Binder(*self._parts_of(self._condition, traced=False))
            # The translator is held, so that its id stays its own.
            self._asking = (key, self._condition.build(binder), translator)
        return bool(self._asking[1](focus, Context(_NOBODY, translator, message=focus)))

    def write(
        self,
        focus: Focus,
        envelope: Envelope,
        translator: Translator,
        *,
        sender: Sender | None = None,
        explain: bool = False,
    ) -> Written:
        """Return the message about `focus`. `sender`: the receiver's zone and local names of systems.

        Raises InvalidInput (HT-MAP-26) when the focus is of another type; for a map of `shape: document` UnmappableMessage
        (HT-CDA-05 … 07) when it makes no document.
        """
        if focus.resource.get("resourceType") not in self.focus:
            raise InvalidInput(
                "HT-MAP-26",
                name=self.name,
                type=str(focus.resource.get("resourceType") or "-"),
                known=", ".join(self.focus),
            )
        if "document" in self.document.source.get("shape", ()):
            from mappings.cda.write import as_document

            focus = as_document(focus)
        if self.target.options.get("encoding") and envelope.charset == "UTF-8":
            envelope = replace(envelope, charset=self.target.options["encoding"])
        focus.facts = envelope.facts()
        context = Context(
            sender or Sender(), translator, codec=writing_codec(envelope.charset) or "utf-8", message=focus
        )
        if explain:
            self._traced = self._traced or self._compile(traced=True)
            binder = TracingBinder(*self._parts_of(self._traced, traced=True))
            content = self._traced.build(binder)(focus, context)
            trace: list[Leaf] | None = list(_leaves(content, binder))
        else:
            content, trace = self._runner(context)(focus, context), None
        return Written(
            body=self._bytes(content, focus.facts, envelope.charset),
            media_type=self.target.options.get("media") or _MEDIA[self.target.format],
            mapping=self.name,
            version=self.hash,
            content=content,
            charset=envelope.charset,
            issues=[note for note in context.notes if isinstance(note, Issue)],
            unmapped=[note for note in context.notes if isinstance(note, Unmapped)],
            trace=trace,
        )

    def _runner(self, context: Context) -> Any:
        """Return the bound function of a receiver; its converter caches live as long as it does."""
        key = (id(context.sender), id(context.translator), context.translator.revision, context.codec)
        found = self._bound.get(key)
        if found is None:
            if len(self._bound) >= 32:
                self._bound.clear()
            binder = Binder(*self._parts_of(self._plain, traced=False))
            # Sender and translator are held, so that their ids stay theirs.
            found = self._bound[key] = (self._plain.build(binder), (context.sender, context.translator))
        return found[0]

    def _parts_of(self, compiled: _Compiled, *, traced: bool) -> Any:
        functions = compiled.source.runtime(traced=traced)()
        return compiled.generated, functions, {}, "", lambda _: None, self.tables

    def _bytes(self, content: Any, facts: Mapping[str, Any], charset: str) -> bytes:
        options = self.target.options
        if self.target.format == "hl7v2":
            return encode_message(
                content,
                facts,
                kind=options.get("message", ""),
                version=options.get("version", ""),
                charset=charset,
            )
        codec = writing_codec(charset) or "utf-8"
        if self.target.format == "xml":
            return write_xml(options["root"], content, namespaces=self.target.namespaces, encoding=codec)
        body = encode(content)
        return body if codec == "utf-8" else _escaped(body.decode(), codec)

    # Compiling

    def _compile(self, *, traced: bool) -> _Compiled:
        document = self.document
        try:
            source = ResourceSource(document, traced=traced)
        except SourceError as error:
            raise InvalidInput([problem("HT-MAP-08", document.place, reason=str(error))]) from None
        tables = {name: list(rows.values()) for name, rows in self.tables.items()}
        checker = ShapeChecker(source, {}, tables, format=self.target.format)
        root = source.root()
        generator = OutboundGenerator(source, root, traced=traced)
        if self.target.format == "hl7v2":
            if not document.parts:
                raise InvalidInput([problem("HT-MAP-02", document.place, key="segments")])
            plans = [_plan(part, checker, source, root) for part in document.parts]
            made = self._generated(checker, lambda: generator.segments(plans), generator)
        else:
            if document.body is None:
                raise InvalidInput([problem("HT-MAP-02", document.place, key="body")])
            body = checker.tree(document.body, root)
            made = self._generated(checker, lambda: generator.body(body), generator)
        return _Compiled(source, made, built(compile(made.code, f"<map {document.name}>", "exec")))

    def _compile_when(self) -> _Compiled:
        """Return the map's `when` as a function; always true without one."""
        source = ResourceSource(self.document, traced=False)
        checker = ShapeChecker(source, {}, {}, format=self.target.format)
        root = source.root()
        generator = OutboundGenerator(source, root, traced=False)
        text = self.document.when
        node = checker.at(text, root, is_condition=True) if text is not None else None
        made = self._generated(checker, lambda: generator.test(node), generator)
        return _Compiled(source, made, built(compile(made.code, f"<when {self.name}>", "exec")))

    def _generated(self, checker: ShapeChecker, write: Any, generator: OutboundGenerator) -> Generated:
        if checker.issues:
            raise InvalidInput(without_repeats(checker.issues))
        try:
            made: Generated = write()
        except SourceError as error:
            where = generator.place or self.document.place
            raise InvalidInput([problem("HT-MAP-08", where, reason=str(error))]) from None
        return made


def _plan(part: Part, checker: ShapeChecker, source: ResourceSource, level: Level) -> Plan:
    inner = level
    each = part.options.get("each")
    if each is not None:
        try:
            # A private copy of the level: two parts over the same list are two loops.
            inner = source.open(Level((*level.key, part.name), level, "", level.state), each.text)
        except SourceError as error:
            checker.issues.append(problem("HT-MAP-08", each.place, reason=str(error)))
    when: Node | None = None
    if "when" in part.options:
        when = checker.at(
            Text(part.options["when"].text, part.options["when"].place), inner, is_condition=True
        )
    body = checker.segment(part.set, part.segment, inner) if part.segment else None
    plans = [_plan(one, checker, source, inner) for one in part.parts]
    return Plan(part.name, part.segment, inner, each is not None, when, body, plans)


def _leaves(content: Any, binder: TracingBinder) -> Iterator[Leaf]:
    """Yield every value that was written with its map line and the elements it came from."""
    nowhere: tuple[Any, tuple[str, ...]] = ("?", ())

    def walk(value: Any, path: str, origin: tuple[Any, tuple[str, ...]]) -> Iterator[Leaf]:
        if isinstance(value, Mapping):
            for key, part in value.items():
                shown = f"{path}.{key}" if path else key
                yield from walk(part, shown, binder.marks.get((id(value), key), origin))
        elif isinstance(value, list):
            for index, part in enumerate(value):
                yield from walk(part, f"{path}[{index + 1}]", binder.marks.get((id(value), index), origin))
        elif isinstance(value, tuple):
            for index, part in enumerate(value):
                if part not in (None, ""):
                    yield from walk(part, f"{path}.{index + 1}", origin)
        else:
            yield Leaf(0, path, str(origin[0]), origin[1])

    if isinstance(content, dict):
        yield from walk(content, "", nowhere)
        return
    counts: dict[str, int] = {}
    for name, fields in content:
        counts[name] = counts.get(name, 0) + 1
        for leaf in walk(fields, "", nowhere):
            rest = leaf.path.partition("-")[2]
            yield leaf._replace(path=f"{name}[{counts[name]}]-{rest}")


def _escaped(text: str, codec: str) -> bytes:
    """Return JSON text in a charset; what it can't write becomes \\uXXXX."""
    parts = []
    for mark in text:
        try:
            parts.append(mark.encode(codec))
        except UnicodeEncodeError:
            units = mark.encode("utf-16-be")
            parts += [f"\\u{units[at]:02x}{units[at + 1]:02x}".encode() for at in range(0, len(units), 2)]
    return b"".join(parts)
