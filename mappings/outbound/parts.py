"""What a map that runs back writes, as YAML: `target`, `segments` (HL7 v2) or `body` (XML, JSON), nothing compiled.

The shape is described in docs/mapping.md, "The way back".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mappings.language.errors import problem
from mappings.language.yaml_tree import Block, Listing, Place, Text, Yaml, merge_blocks
from terminology.issues import Issue

FORMATS = ("hl7v2", "xml", "json")
_TARGET_KEYS = {"format", "message", "version", "root", "namespaces", "encoding", "media"}
_PART_KEYS = {"id", "segment", "each", "when", "set", "segments", "remove", "after"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
DEPTH = 5


@dataclass(frozen=True)
class Target:
    """`format`: hl7v2, xml or json; `options`: message, version, root, encoding, media; `namespaces`: prefix → URI."""

    format: str
    options: dict[str, str]
    namespaces: dict[str, str]
    place: Place


@dataclass(frozen=True)
class Part:
    """One segment, or a group of them that repeats. `options`: each, when; `after`: where an overlay puts a new one."""

    name: str
    segment: str
    place: Place
    options: dict[str, Text]
    set: Block
    parts: tuple["Part", ...]
    is_removed: bool = False
    after: str = ""


def read_target(value: Yaml, issues: list[Issue], *, is_whole: bool) -> Target | None:
    """Return `target`; problems go to `issues` (HT-MAP-02, 03, 06, 21). `is_whole`: no overlay, so nothing may lack."""
    if not isinstance(value, Block):
        issues.append(problem("HT-MAP-06", value.place, key="target", shape="a mapping"))
        return None
    _known(value, _TARGET_KEYS, issues)
    spaces = value.entries.get("namespaces")
    namespaces = (
        {key: row.text for key, row in spaces.entries.items() if isinstance(row, Text)}
        if isinstance(spaces, Block)
        else {}
    )
    options = {key: row.text for key, row in value.entries.items() if isinstance(row, Text)}
    format = options.pop("format", "")
    if format not in FORMATS and (format or is_whole):
        known = ", ".join(FORMATS)
        issues.append(
            problem("HT-MAP-21", value.place, key="target.format", value=format or "-", known=known)
        )
    if format == "xml" and "root" not in options:
        issues.append(problem("HT-MAP-02", value.place, key="target.root"))
    return Target(format, options, namespaces, value.place)


def read_parts(items: Iterable[Yaml], issues: list[Issue], *, depth: int = 0) -> tuple[Part, ...]:
    """Return the `segments` of a map or group, in order."""
    found: list[Part] = []
    for item in items:
        made = _part(item, issues, depth)
        if made is None:
            continue
        if any(other.name == made.name for other in found):
            issues.append(problem("HT-MAP-05", made.place, name=made.name))
        found.append(made)
    return tuple(found)


def merge_parts(base: tuple[Part, ...], overlay: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return `base` with the parts of an overlay: found by id at any depth, changed line by line; new ones are added.

    A new part stands at the end, or right after the part that `after` names.
    """
    made = base
    for part in overlay:
        changed, is_known = _merged(made, part)
        made = changed if is_known else _placed(made, part)
    return made


def _merged(parts: tuple[Part, ...], change: Part) -> tuple[tuple[Part, ...], bool]:
    found: list[Part] = []
    is_known = False
    for part in parts:
        if part.name == change.name:
            is_known = True
            if not change.is_removed:
                found.append(
                    replace(
                        part,
                        segment=change.segment or part.segment,
                        options={
                            key: row
                            for key, row in {**part.options, **change.options}.items()
                            if not row.is_null
                        },
                        set=merge_blocks(part.set, change.set),
                        parts=merge_parts(part.parts, change.parts),
                    )
                )
            continue
        inner, is_inside = _merged(part.parts, change)
        is_known = is_known or is_inside
        found.append(replace(part, parts=inner) if is_inside else part)
    return tuple(found), is_known


def _placed(parts: tuple[Part, ...], new: Part) -> tuple[Part, ...]:
    if new.is_removed:
        return parts
    if not new.after:
        return (*parts, new)
    found: list[Part] = []
    for part in parts:
        found.append(replace(part, parts=_placed_inside(part.parts, new)))
        if part.name == new.after:
            found.append(new)
    return tuple(found)


def _placed_inside(parts: tuple[Part, ...], new: Part) -> tuple[Part, ...]:
    return _placed(parts, new) if any(_holds(part, new.after) for part in parts) else parts


def _holds(part: Part, name: str) -> bool:
    return part.name == name or any(_holds(inner, name) for inner in part.parts)


def _part(item: Yaml, issues: list[Issue], depth: int) -> Part | None:
    if not isinstance(item, Block):
        issues.append(problem("HT-MAP-06", item.place, key="segments", shape="a mapping"))
        return None
    _known(item, _PART_KEYS, issues)
    texts = {key: row for key, row in item.entries.items() if isinstance(row, Text)}
    segment = texts["segment"].text if "segment" in texts else ""
    name = texts["id"].text if "id" in texts else segment
    if not _NAME.fullmatch(name) or (segment and not _SEGMENT.fullmatch(segment)):
        issues.append(problem("HT-MAP-02", item.place, key="segment"))
        return None
    body = item.entries.get("set", Block({}, item.place, {}))
    if not isinstance(body, Block):
        issues.append(problem("HT-MAP-06", item.places["set"], key="set", shape="a mapping"))
        return None
    inner = item.entries.get("segments")
    if inner is not None and (not isinstance(inner, Listing) or depth >= DEPTH):
        issues.append(problem("HT-MAP-06", item.places["segments"], key="segments", shape="a list"))
        inner = None
    return Part(
        name=name,
        segment=segment,
        place=item.place,
        options={key: row for key, row in texts.items() if key in ("each", "when")},
        set=body,
        parts=read_parts(inner.items, issues, depth=depth + 1) if isinstance(inner, Listing) else (),
        is_removed="remove" in texts and texts["remove"].value is True,
        after=texts["after"].text if "after" in texts else "",
    )


def _known(block: Block, keys: set[str], issues: list[Issue]) -> None:
    for key in block.entries:
        if key not in keys:
            issues.append(problem("HT-MAP-03", block.places[key], key=key, known=", ".join(sorted(keys))))
