"""A map file: YAML read with file and line of everything, site overlays merged into what they extend.

The shape of a file is described in docs/mapping.md. Nothing is compiled here.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mappings.language.errors import problem
from mappings.language.yaml_tree import Block, Listing, Place, Text, Yaml, merge_blocks, read_yaml
from mappings.outbound.parts import Part, Target, merge_parts, read_parts, read_target
from terminology.issues import InvalidInput, Issue

FILE_LIMIT = 1_000_000


@dataclass(frozen=True)
class GroupRule:
    """Tolerant grouping of segments: a group begins at one of `starts`, or at a `before` segment that precedes it."""

    name: str
    starts: tuple[str, ...]
    before: tuple[str, ...]
    holds: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class ResourceRule:
    """One resource of a map, its lines unparsed. `set`: element → what it is, dotted elements not yet nested."""

    name: str
    place: Place
    options: dict[str, Text]
    key: Yaml | None
    order: Listing | None
    set: Block


@dataclass(frozen=True)
class Trial:
    """An embedded test: a message (text or file), row or Bundle, and what must come of it."""

    place: Place
    message: Text | None
    file: Text | None
    record: Yaml | None
    expect: Block


@dataclass(frozen=True)
class Document:
    """A whole map. `hash` covers this file and those it extends; it names the version that a resource was made with.

    `target`, `when`, `parts`, `body`: what a map that runs back writes (mappings/outbound); None and empty otherwise.
    """

    name: str
    version: str
    place: Place
    path: Path | None
    format: str
    source: dict[str, tuple[str, ...]]
    extends: str | None
    namespace: Text | None
    tables: dict[str, Block]
    groups: dict[str, GroupRule]
    resources: dict[str, ResourceRule]
    trials: tuple[Trial, ...]
    hash: str
    removed: tuple[str, ...] = field(default=())
    target: Target | None = None
    parts: tuple[Part, ...] = ()
    body: Block | None = None
    when: Text | None = None


_KEYS = {
    "mapping",
    "version",
    "title",
    "source",
    "extends",
    "namespace",
    "tables",
    "groups",
    "resources",
    "target",
    "when",
    "segments",
    "body",
    "tests",
}
_SOURCE_KEYS = {
    "format",
    "messages",
    "senders",
    "root",
    "namespace",
    "template",
    "where",
    "rows",
    "name",
    "focus",
    "shape",
}
_RESOURCE_KEYS = {
    "id",
    "type",
    "each",
    "when",
    "key",
    "set",
    "write",
    "match",
    "order",
    "recency",
    "repeated",
    "new",
    "shared",
    "remove",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def read_document(raw: bytes, *, file: str, path: Path | None = None) -> Document:
    """Return a map file as written. Raises InvalidInput with every problem found (HT-MAP-01…)."""
    if len(raw) > FILE_LIMIT:
        raise InvalidInput([problem("HT-MAP-01", Place(file, 1), reason=f"more than {FILE_LIMIT} bytes")])
    tree = read_yaml(raw, file)
    issues: list[Issue] = []
    if not isinstance(tree, Block):
        raise InvalidInput([problem("HT-MAP-01", Place(file, 1), reason="the file is no YAML mapping")])
    _known(tree, _KEYS, issues)
    name, extends = _text(tree, "mapping", issues), _text(tree, "extends", issues)
    if name is None or not _NAME.fullmatch(name.text):
        issues.append(problem("HT-MAP-02", tree.place, key="mapping"))
    source = tree.entries.get("source")
    rules = _source(source, issues) if source is not None else {}
    if not extends and not rules.get("format"):
        issues.append(problem("HT-MAP-02", tree.place, key="source: {format: …}"))
    tables = {
        key: value for key, value in _blocks(tree, "tables", issues).items() if isinstance(value, Block)
    }
    groups = {
        key: _group(key, value, issues)
        for key, value in _blocks(tree, "groups", issues).items()
        if isinstance(value, Block)
    }
    resources: dict[str, ResourceRule] = {}
    removed: list[str] = []
    for item in _items(tree, "resources", issues):
        rule = _resource(item, issues)
        if rule is None:
            continue
        if rule.name in resources:
            issues.append(problem("HT-MAP-05", rule.place, name=rule.name))
        if "remove" in rule.options and rule.options["remove"].value is True:
            removed.append(rule.name)
        else:
            resources[rule.name] = rule
    target = (
        read_target(tree.entries["target"], issues, is_whole=extends is None)
        if "target" in tree.entries
        else None
    )
    if rules.get("format") == ("fhir",) and target is None and not extends:
        issues.append(problem("HT-MAP-02", tree.place, key="target"))
    parts = read_parts(_items(tree, "segments", issues), issues)
    body = tree.entries.get("body")
    if body is not None and not isinstance(body, Block):
        issues.append(problem("HT-MAP-06", tree.places["body"], key="body", shape="a mapping"))
    trials = tuple(
        trial for item in _items(tree, "tests", issues) if (trial := _trial(item, issues)) is not None
    )
    version = _text(tree, "version", issues)
    if issues:
        raise InvalidInput(issues)
    assert name is not None
    return Document(
        name=name.text,
        version=version.text if version else "1",
        place=tree.place,
        path=path,
        format="".join(rules.get("format", ())),
        source=rules,
        extends=extends.text if extends else None,
        namespace=_text(tree, "namespace", issues),
        tables=tables,
        groups=groups,
        resources=resources,
        trials=trials,
        hash=hashlib.sha256(raw).hexdigest(),
        removed=tuple(removed),
        target=target,
        parts=parts,
        body=body if isinstance(body, Block) else None,
        when=_text(tree, "when", issues),
    )


def extend(base: Document, overlay: Document) -> Document:
    """Return `base` with the lines of `overlay` in place of its own.

    A line set to null is removed, a resource with `remove: true` too; tables and groups merge row by row. Tests are
    the overlay's: those of the base may rightly fail.
    """
    resources = {name: rule for name, rule in base.resources.items() if name not in overlay.removed}
    for name, rule in overlay.resources.items():
        known = resources.get(name)
        if known is None:
            resources[name] = rule
            continue
        resources[name] = replace(
            known,
            options=_without_nulls({**known.options, **rule.options}),
            key=rule.key or known.key,
            order=rule.order or known.order,
            set=merge_blocks(known.set, rule.set),
        )
    tables = dict(base.tables)
    for name, rows in overlay.tables.items():
        tables[name] = merge_blocks(tables[name], rows) if name in tables else rows
    return replace(
        overlay,
        format=base.format,
        source={**base.source, **overlay.source},
        namespace=overlay.namespace or base.namespace,
        tables=tables,
        groups={**base.groups, **overlay.groups},
        resources=resources,
        target=_target(base.target, overlay.target),
        parts=merge_parts(base.parts, overlay.parts),
        body=merge_blocks(base.body, overlay.body)
        if base.body and overlay.body
        else overlay.body or base.body,
        when=overlay.when or base.when,
        hash=hashlib.sha256(f"{base.hash}+{overlay.hash}".encode()).hexdigest(),
    )


def _target(base: Target | None, overlay: Target | None) -> Target | None:
    """Return the target of an overlay: its options and namespaces before those of its base."""
    if base is None or overlay is None:
        return overlay or base
    options, namespaces = {**base.options, **overlay.options}, {**base.namespaces, **overlay.namespaces}
    return Target(overlay.format or base.format, options, namespaces, overlay.place)


def _without_nulls(options: dict[str, Text]) -> dict[str, Text]:
    return {key: value for key, value in options.items() if not value.is_null}


def _known(block: Block, keys: set[str], issues: list[Issue]) -> None:
    for key in block.entries:
        if key not in keys:
            issues.append(problem("HT-MAP-03", block.places[key], key=key, known=", ".join(sorted(keys))))


def _text(block: Block, key: str, issues: list[Issue]) -> Text | None:
    value = block.entries.get(key)
    if value is None or (isinstance(value, Text) and value.is_null):
        return None
    if isinstance(value, Text):
        return value
    issues.append(problem("HT-MAP-06", block.places[key], key=key, shape="a text"))
    return None


def _blocks(block: Block, key: str, issues: list[Issue]) -> Mapping[str, Yaml]:
    value = block.entries.get(key)
    if value is None or (isinstance(value, Text) and value.is_null):
        return {}
    if not isinstance(value, Block):
        issues.append(problem("HT-MAP-06", block.places[key], key=key, shape="a mapping"))
        return {}
    for name, part in value.entries.items():
        if not isinstance(part, Block):
            issues.append(problem("HT-MAP-06", value.places[name], key=f"{key}.{name}", shape="a mapping"))
    return value.entries


def _items(block: Block, key: str, issues: list[Issue]) -> Iterable[Yaml]:
    value = block.entries.get(key)
    if value is None or (isinstance(value, Text) and value.is_null):
        return ()
    if not isinstance(value, Listing):
        issues.append(problem("HT-MAP-06", block.places[key], key=key, shape="a list"))
        return ()
    return value.items


def _words(value: Yaml) -> tuple[str, ...]:
    if isinstance(value, Text):
        return (value.text,)
    if isinstance(value, Listing):
        return tuple(item.text for item in value.items if isinstance(item, Text))
    return ()


def _source(value: Yaml, issues: list[Issue]) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Block):
        issues.append(problem("HT-MAP-06", value.place, key="source", shape="a mapping"))
        return {}
    _known(value, _SOURCE_KEYS, issues)
    return {key: _words(part) for key, part in value.entries.items()}


def _group(name: str, block: Block, issues: list[Issue]) -> GroupRule:
    _known(block, {"starts", "before", "holds"}, issues)
    parts = {key: _words(value) for key, value in block.entries.items()}
    if not parts.get("starts"):
        issues.append(problem("HT-MAP-02", block.place, key=f"groups.{name}.starts"))
    return GroupRule(
        name, parts.get("starts", ()), parts.get("before", ()), parts.get("holds", ()), block.place
    )


def _resource(item: Yaml, issues: list[Issue]) -> ResourceRule | None:
    if not isinstance(item, Block):
        issues.append(problem("HT-MAP-06", item.place, key="resources", shape="a mapping"))
        return None
    _known(item, _RESOURCE_KEYS, issues)
    name = _text(item, "id", issues)
    if name is None or not _NAME.fullmatch(name.text):
        issues.append(problem("HT-MAP-02", item.place, key="id"))
        return None
    options = {
        key: value
        for key, value in item.entries.items()
        if key not in ("id", "set", "key", "order") and isinstance(value, Text)
    }
    body = item.entries.get("set", Block({}, item.place, {}))
    if not isinstance(body, Block):
        issues.append(problem("HT-MAP-06", item.places["set"], key="set", shape="a mapping"))
        return None
    order = item.entries.get("order")
    return ResourceRule(
        name.text,
        item.place,
        options,
        item.entries.get("key"),
        order if isinstance(order, Listing) else None,
        body,
    )


def _trial(item: Yaml, issues: list[Issue]) -> Trial | None:
    if not isinstance(item, Block):
        issues.append(problem("HT-MAP-06", item.place, key="tests", shape="a mapping"))
        return None
    _known(item, {"message", "xml", "file", "record", "bundle", "expect", "title"}, issues)
    expect = item.entries.get("expect")
    given = [key for key in ("message", "xml", "file", "record", "bundle") if key in item.entries]
    if not isinstance(expect, Block) or len(given) != 1:
        issues.append(problem("HT-MAP-07", item.place))
        return None
    return Trial(
        item.place,
        _text(item, "message", issues) or _text(item, "xml", issues),
        _text(item, "file", issues),
        item.entries.get("record") or item.entries.get("bundle"),
        expect,
    )
