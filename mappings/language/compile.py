"""Compile a map: check every line, generate the function, run it on messages.

A compiled map is immutable and named by the hash of its files, so that a stored resource can tell which version
made it and a replay can use the same one.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conformance.definitions import is_resource
from mappings.hl7v2.message import NULL, Message
from mappings.language.converters import Context, Sender
from mappings.language.document import Document, ResourceRule
from mappings.language.emit import Generated
from mappings.language.errors import problem
from mappings.language.expression import Constant, Node, Sum, parse_expression
from mappings.language.generate import Generator, Plan
from mappings.language.measure import measure
from mappings.language.result import Result, Rule, Unmapped, Write
from mappings.language.runtime import Binder, message_instant
from mappings.language.sources import Level, Source, SourceError, open_source
from mappings.language.sources.xml import XmlSource
from mappings.language.specialise import Specialised, SpecialisedRows
from mappings.language.targets import Checker
from mappings.language.trace import TracingBinder
from mappings.language.yaml_tree import Listing, Text, Yaml, plain
from mappings.xml.parse import XmlMessage
from mappings.xml.shapes import shaped
from mappings.xml.tree import Element
from terminology.issues import InvalidInput, Issue
from terminology.translate import Translator

_WRITES = ("replace", "merge", "create", "status", "retire", "link", "unlink", "gather")
_BINDERS = 32
# Formats whose messages are rows of segments, with what names their sender when a map doesn't say.
SEGMENTED = {"hl7v2": "MSH-4 or MSH-3", "astm": "H-10 or H-5"}


@dataclass
class _Compiled:
    source: Source
    generated: Generated
    build: Any
    rules: dict[str, Rule]


class Map:
    """A map ready to run. `hash` names its version; `code` is the generated Python, for the curious."""

    def __init__(self, document: Document) -> None:
        """Raises InvalidInput with every problem of every line (HT-MAP-…)."""
        self.document = document
        self.name = document.name
        self.version = document.version
        self.hash = document.hash
        self.format = document.format
        self.shape = "".join(document.source.get("shape", ()))
        self.tables = {
            name: {key: plain(row) for key, row in block.entries.items()}
            for name, block in document.tables.items()
        }
        self._plain = self._compile(traced=False)
        self._traced: _Compiled | None = None
        self._binders: dict[Any, tuple[Any, Any]] = {}

    @property
    def code(self) -> str:
        return self._plain.generated.code

    @property
    def source(self) -> Source:
        """The compile-time source; its `reads` tell which fields the map reads."""
        return self._plain.source

    def convert(
        self, record: Any, sender: Sender, translator: Translator, *, explain: bool = False
    ) -> Result:
        """Return what a message (or XML message, JSON body, row) becomes; with `explain` every leaf tells line and fields."""
        is_message = isinstance(record, Message)
        document = shaped(record, self.shape, sender.systems) if isinstance(record, XmlMessage) else None
        if document is not None:
            record = document.root
        clears = is_message and NULL in record.decoded.text
        if is_message:
            context = Context(
                sender, translator, delimiters=record.delimiters, codec=record.codec, message=record
            )
            context.made.origin = record.sender
        else:
            context = Context(sender, translator, message=record)
        root = self._plain.source.grouping.group(record.segments) if is_message else record  # type: ignore[attr-defined]  # SegmentSource
        if explain or clears:
            # A traced run also knows which elements the sender deletes; such messages are few.
            binder, run = self._tracer(context)
            entries = run(root, context)
            trace = binder.leaves(entries) if explain else None
        else:
            run = self._runner(context)
            if isinstance(run, Specialised):
                run = run.choose(record.segments)
            elif isinstance(run, SpecialisedRows):
                run = run.choose(record)
            entries = run(root, context)
            trace = None
        made = context.made
        if made.entries:
            if trace is not None:
                trace = [*trace, *made.leaves(len(entries))]
            entries = [*entries, *made.entries.values()]
        issues: list[Issue] = []
        unmapped: list[Unmapped] = []
        for note in context.notes:
            if isinstance(note, Unmapped):
                unmapped.append(note)
            else:
                issues.append(note)
        result = Result(
            entries=entries,
            mapping=self.name,
            version=self.hash,
            facility=sender.facility,
            issues=issues,
            unmapped=unmapped,
            trace=trace,
            measure=lambda: measure(self._plain.source, root),
        )
        if is_message:
            decoded = record.decoded
            result.issues = [*record.issues, *issues]
            result.control_id = record.control_id
            result.kind = f"{record.code}^{record.event}"
            result.codec, result.declared = decoded.codec, decoded.declared
            result.is_guessed = decoded.is_guessed
        elif document is not None:
            # One organisation stands at every result: what is wrong with its number is said once.
            result.issues = list({repr(issue): issue for issue in (*document.issues, *issues)}.values())
            result.unmapped = list(dict.fromkeys(unmapped))
            result.kind = document.root.name
            result.codec, result.declared = document.decoded.codec, document.decoded.declared
            result.is_guessed = document.decoded.is_guessed
        return result

    # Binding

    def _runner(self, context: Context) -> Any:
        """Return the function bound to sender, delimiters and charset; its converter caches live as long as it does."""
        translator = context.translator
        key = (id(context.sender), id(translator), translator.revision, context.delimiters, context.codec)
        found = self._binders.get(key)
        if found is not None:
            return found[1]
        if len(self._binders) >= _BINDERS:
            self._binders.clear()
        compiled = self._plain
        binder = Binder(
            compiled.generated,
            self._functions(compiled.source, context, traced=False),
            compiled.rules,
            context.sender.facility,
            self._moment,
            self.tables,
        )
        run = compiled.build(binder)
        if self.format == "hl7v2":
            run = Specialised(compiled.generated.code, run, lambda code: built(code)(binder))
        elif self.format in ("table", "json"):
            run = SpecialisedRows(compiled.generated.code, run, lambda code: built(code)(binder))
        # Sender and translator are held, so that their ids stay theirs.
        self._binders[key] = ((context.sender, context.translator), run)
        return run

    def _tracer(self, context: Context) -> tuple[TracingBinder, Any]:
        if self._traced is None:
            self._traced = self._compile(traced=True)
        compiled = self._traced
        binder = TracingBinder(
            compiled.generated,
            self._functions(compiled.source, context, traced=True),
            compiled.rules,
            context.sender.facility,
            self._moment,
            self.tables,
        )
        return binder, compiled.build(binder)

    def _functions(self, source: Source, context: Context, *, traced: bool) -> Any:
        factory = source.runtime(traced=traced)
        return factory(context.delimiters, context.codec) if self.format in SEGMENTED else factory()

    def _moment(self, context: Context) -> str | None:
        message = context.message
        if isinstance(message, Message):
            return message_instant(message.sent, context)
        if isinstance(message, Element):
            # creationTime of an HL7 v3 message, effectiveTime of a document.
            times = (message.first(name) for name in ("creationTime", "effectiveTime"))
            text = next((found for time in times if time is not None and (found := time.get("value"))), "")
            return message_instant(text, context)
        return None

    # Compiling

    def _compile(self, *, traced: bool) -> _Compiled:
        document = self.document
        try:
            source = open_source(document, traced=traced)
        except SourceError as error:
            raise InvalidInput([problem("HT-MAP-08", document.place, reason=str(error))]) from None
        types = {
            name: rule.options["type"].text
            for name, rule in document.resources.items()
            if "type" in rule.options
        }
        checker = Checker(source, types, {name: list(rows.values()) for name, rows in self.tables.items()})
        root = source.root()
        plans: list[Plan] = []
        rules: dict[str, Rule] = {}
        for rule in document.resources.values():
            made = _plan(rule, checker, source, root)
            if made is not None:
                plan, rules[plan.name] = made
                if any(other.variable == plan.variable for other in plans):
                    plan.variable += f"_{len(plans)}"
                plans.append(plan)
        namespace = checker.expression(document.namespace) if document.namespace else None
        if namespace is None and document.format in SEGMENTED:
            namespace = parse_expression(SEGMENTED[document.format], source.read_path)
        if checker.issues:
            raise InvalidInput(without_repeats(checker.issues))
        generator = Generator(plans, source, root, namespace, traced=traced)
        try:
            generated = generator.generate()
        except SourceError as error:
            where = generator.place or document.place
            raise InvalidInput([problem("HT-MAP-08", where, reason=str(error))]) from None
        if isinstance(source, XmlSource):
            for site in generated.sites:
                source.note(site.converter.name, site.arguments)
        build = built(compile(generated.code, f"<map {document.name}>", "exec"))
        return _Compiled(source, generated, build, rules)


def built(code: Any) -> Any:
    """Return the `build` of generated code: a binder in, the function that converts out."""
    space: dict[str, Any] = {}
    # The text was generated from parsed and checked lines; no text of the map is in it but as a Python literal.
    exec(code, space)  # noqa: S102
    return space["build"]


def without_repeats(issues: list[Issue]) -> list[Issue]:
    """Leave out what was found twice: a line's type is asked for more than once."""
    return list({(issue.code, issue.source, str(issue.values)): issue for issue in issues}.values())


def _plan(rule: ResourceRule, checker: Checker, source: Source, root: Level) -> tuple[Plan, Rule] | None:
    options = rule.options
    type = options["type"].text if "type" in options else ""
    if not is_resource(type):
        checker.issues.append(problem("HT-MAP-09", rule.place, name=rule.name, type=type or "-"))
        return None
    write = _option(options, "write", _WRITES, "replace", checker)
    repeated = _option(
        options, "repeated", ("number", "first"), "first" if write == "create" else "number", checker
    )
    level = root
    if "each" in options:
        try:
            level = source.open(root, options["each"].text)
        except SourceError as error:
            checker.issues.append(problem("HT-MAP-08", options["each"].place, reason=str(error)))
            return None
    when = checker.condition(options["when"]) if "when" in options else None
    recency = checker.expression(options["recency"]) if "recency" in options else None
    parts = _key(rule, checker)
    body = checker.resource(rule, type, write)
    ranks = _ranks(rule, type, checker)
    is_shared = "shared" in options and options["shared"].value is True
    match = _option(options, "match", ("identifier", "old", "id"), "id", checker)
    place = rule.key.place if rule.key is not None else rule.place
    plan = Plan(
        name=rule.name,
        variable=rule.name.replace("-", "_"),
        type=type,
        place=options["type"].place,
        level=level,
        body=body,
        parts=parts,
        key_place=place,
        when=when,
        is_shared=is_shared,
        is_numbered=repeated == "number",
        recency=recency,
    )
    made: Write = write  # type: ignore[assignment]  # one of _WRITES
    only_new = _only_new(rule, checker)
    line, matches = str(rule.place), match != "id"
    return plan, Rule(rule.name, type, made, matches, ranks, is_shared, line, only_new, match == "old")


def _only_new(rule: ResourceRule, checker: Checker) -> tuple[str, ...]:
    """Return the elements of `new: status, class`; each must be set by this resource."""
    if "new" not in rule.options:
        return ()
    given = rule.options["new"]
    names = tuple(part.strip() for part in given.text.split(","))
    known = ", ".join(rule.set.entries)
    for name in names:
        if name not in rule.set.entries:
            checker.issues.append(problem("HT-MAP-21", given.place, key="new", value=name, known=known))
    return names


def _option(
    options: Mapping[str, Text], key: str, known: tuple[str, ...], default: str, checker: Checker
) -> str:
    if key not in options:
        return default
    text = options[key].text
    if text not in known:
        checker.issues.append(
            problem("HT-MAP-21", options[key].place, key=key, value=text, known=", ".join(known))
        )
    return text


def _key(rule: ResourceRule, checker: Checker) -> list[tuple[Node, bool]]:
    """Return the parts of the key; a sum is several parts, a trailing `?` makes a part optional."""
    if rule.key is None:
        checker.issues.append(problem("HT-MAP-02", rule.place, key=f"{rule.name}.key"))
        return []
    items: tuple[Yaml, ...] = rule.key.items if isinstance(rule.key, Listing) else (rule.key,)
    parts: list[tuple[Node, bool]] = []
    for item in items:
        if not isinstance(item, Text):
            checker.issues.append(
                problem("HT-MAP-06", item.place, key="key", shape="an expression or a list of them")
            )
            continue
        if not isinstance(rule.key, Listing) and item.text == "message":
            # key: message — no identity of its own: a new one for every message.
            return []
        is_optional = item.text.endswith("?")
        node = checker.expression(Text(item.text.rstrip("? "), item.place, item.is_plain))
        if node is None:
            continue
        for part in node.parts if isinstance(node, Sum) else (node,):
            parts.append((part, is_optional))
    if parts and all(isinstance(node, Constant) for node, _ in parts):
        checker.issues.append(problem("HT-MAP-22", rule.key.place, name=rule.name))
    return parts


def _ranks(rule: ResourceRule, type: str, checker: Checker) -> dict[str, int] | None:
    if rule.order is None:
        return _built_in_ranks().get(type)
    ranks: dict[str, int] = {}
    for rank, item in enumerate(rule.order.items):
        for status in item.items if isinstance(item, Listing) else (item,):
            if isinstance(status, Text):
                ranks[status.text] = rank
            else:
                checker.issues.append(
                    problem("HT-MAP-06", status.place, key="order", shape="a list of statuses")
                )
    return ranks


@cache
def _built_in_ranks() -> dict[str, dict[str, int]]:
    with (Path(__file__).parent / "status_order.toml").open("rb") as file:
        rows: dict[str, list[list[str]]] = tomllib.load(file)
    return {
        type: {status: rank for rank, statuses in enumerate(order) for status in statuses}
        for type, order in rows.items()
    }
