"""YAML with file and line of everything: the values of a map file before they mean anything."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from mappings.language.errors import problem
from terminology.issues import InvalidInput, Issue

NODE_LIMIT = 100_000


@dataclass(frozen=True)
class Place:
    """A line of a file: "lab-oru-r01.yaml:31"."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Text:
    """A scalar as written; `is_plain`: without quotes, so that true, 3 and null may mean themselves."""

    text: str
    place: Place
    is_plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text in ("", "~", "null", "Null", "NULL")

    @property
    def value(self) -> str | bool | int | Decimal | None:
        """true, false, numbers and null when unquoted; the text otherwise."""
        if not self.is_plain:
            return self.text
        if self.is_null:
            return None
        if self.text in ("true", "false"):
            return self.text == "true"
        if re.fullmatch(r"-?(?:0|[1-9]\d*)", self.text):
            return int(self.text)
        if re.fullmatch(r"-?(?:0|[1-9]\d*)\.\d+", self.text):
            return Decimal(self.text)
        return self.text


@dataclass(frozen=True)
class Block:
    """A YAML mapping; `places`: where each key stands."""

    entries: dict[str, "Yaml"]
    place: Place
    places: dict[str, Place]


@dataclass(frozen=True)
class Listing:
    items: tuple["Yaml", ...]
    place: Place


Yaml = Text | Block | Listing


def merge_blocks(base: Block, overlay: Block) -> Block:
    """Return `base` with the entries of `overlay`; blocks merge, everything else is replaced, null removes."""
    entries, places = dict(base.entries), dict(base.places)
    for key, value in overlay.entries.items():
        old = entries.get(key)
        places[key] = overlay.places[key]
        if isinstance(value, Text) and value.is_null:
            entries.pop(key, None)
        elif isinstance(value, Block) and isinstance(old, Block):
            entries[key] = merge_blocks(old, value)
        else:
            entries[key] = value
    return Block(entries, base.place, places)


def nest(block: Block, issues: list[Issue]) -> Block:
    """Turn `period.start: x` into `period: {start: x}`, all through."""
    entries: dict[str, Yaml] = {}
    places: dict[str, Place] = {}
    for key, value in block.entries.items():
        place = block.places[key]
        value = _nested_value(value, issues)
        for step in reversed(key.split(".")[1:]):
            value = Block({step: value}, place, {step: place})
        name = key.split(".")[0]
        old = entries.get(name)
        if old is None:
            entries[name], places[name] = value, place
        elif isinstance(old, Block) and isinstance(value, Block):
            entries[name] = _joined(old, value, issues)
        else:
            issues.append(problem("HT-MAP-04", place, key=key))
    return Block(entries, block.place, places)


def _nested_value(value: Yaml, issues: list[Issue]) -> Yaml:
    if isinstance(value, Block):
        return nest(value, issues)
    if isinstance(value, Listing):
        return Listing(tuple(_nested_value(item, issues) for item in value.items), value.place)
    return value


def _joined(one: Block, other: Block, issues: list[Issue]) -> Block:
    entries, places = dict(one.entries), dict(one.places)
    for key, value in other.entries.items():
        old = entries.get(key)
        if isinstance(old, Block) and isinstance(value, Block):
            entries[key] = _joined(old, value, issues)
        elif old is not None:
            issues.append(problem("HT-MAP-04", other.places[key], key=key))
        else:
            entries[key], places[key] = value, other.places[key]
    return Block(entries, one.place, places)


def plain(node: Yaml) -> Any:
    """Return the JSON value of a YAML part (a record of a test, an expected value)."""
    if isinstance(node, Text):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.entries.items()}


def read_yaml(body: bytes, file: str) -> Yaml | None:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(body.decode("utf-8-sig"), Loader=loader)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            [problem("HT-MAP-01", Place(file, 1), reason=f"not UTF-8: {error.reason}")]
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "too deeply nested"
        place = Place(file, mark.line + 1 if mark else 1)
        raise InvalidInput([problem("HT-MAP-01", place, reason=str(reason))]) from None
    return _Converter(file).convert(node) if node is not None else None


class _Converter:
    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0

    def convert(self, node: yaml.Node) -> Yaml:
        self.count += 1
        place = Place(self.file, node.start_mark.line + 1)
        if self.count > NODE_LIMIT:
            raise InvalidInput([problem("HT-MAP-01", place, reason=f"more than {NODE_LIMIT} values")])
        if isinstance(node, yaml.MappingNode):
            entries: dict[str, Yaml] = {}
            places: dict[str, Place] = {}
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
                where = Place(self.file, key.start_mark.line + 1)
                if name in entries:
                    raise InvalidInput([problem("HT-MAP-04", where, key=name)])
                entries[name] = self.convert(value)
                places[name] = where
            return Block(entries, place, places)
        if isinstance(node, yaml.SequenceNode):
            return Listing(tuple(self.convert(item) for item in node.value), place)
        return Text(str(node.value), place, is_plain=not getattr(node, "style", None))
