"""The tables of actions: which message a service takes, how it is answered, what must be in it (hospital.yaml, rhin.yaml)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from mappings.language.sources.xml_path import XmlPath, find, read
from mappings.xml.tree import Element

FOLDER = Path(__file__).parent
Does = Literal["store", "query"]


@dataclass(frozen=True, slots=True)
class Cardinality:
    """How often the first of `paths` that is there must be there; `most` None = without end."""

    paths: tuple[XmlPath, ...]
    least: int
    most: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """One row of a table; the keys are described in the files. `finds` with `filters`: what a query reads.

    `needs`: what must be named somewhere in the message: "patient", or the "number" of what it is about.
    """

    name: str
    names: tuple[str, ...]
    title: str
    requests: tuple[str, ...]
    accept: str
    refuse: str
    does: Does
    map: str
    finds: str
    filters: Mapping[str, tuple[str, ...]]
    when: tuple[XmlPath, ...]
    cardinalities: tuple[Cardinality, ...]
    envelope: str
    patient: XmlPath | None
    needs: str = ""

    def takes(self, root: str) -> bool:
        """Tell whether a message with this root element belongs to the action; `*` in the table is any."""
        return root in self.requests or "*" in self.requests


@dataclass(frozen=True, slots=True)
class Table:
    """The actions of one platform in the order of its file, `edition` and `source` of the rules."""

    name: str
    edition: str
    source: str
    actions: tuple[Action, ...]
    by_name: Mapping[str, tuple[Action, ...]]
    by_root: Mapping[str, tuple[Action, ...]]


@cache
def hospital() -> Table:
    """医院信息平台"""
    return load_table(FOLDER / "hospital.yaml")


@cache
def region() -> Table:
    """区域卫生信息平台"""
    return load_table(FOLDER / "rhin.yaml")


def load_table(path: Path) -> Table:
    """Return a table of actions; ValueError when a row names a shape or path that isn't there."""
    tree: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    actions = tuple(_action(row, tree) for row in tree["actions"])
    by_name: dict[str, list[Action]] = {}
    by_root: dict[str, list[Action]] = {}
    for action in actions:
        for name in action.names:
            by_name.setdefault(name.casefold(), []).append(action)
        for root in action.requests:
            if root == "*":
                continue
            by_root.setdefault(root, []).append(action)
    return Table(path.stem, tree["edition"], tree["source"], actions, _frozen(by_name), _frozen(by_root))


def choose(table: Table, name: str, root: Element) -> Action | None:
    """Return the action of a message: the one of that name that takes its root, or by its root and content alone.

    None when the table knows neither name nor root. A name without its root is for `check` to refuse.
    """
    named = table.by_name.get(name.strip().casefold(), ()) if name else ()
    fitting = [action for action in named if action.takes(root.name)]
    if fitting or named:
        return _by_content(fitting, root) or (fitting or list(named))[0]
    if name:
        return None
    said = root.first("interactionId")
    service = said.get("extension") if said is not None else ""
    by_service = [a for a in table.by_name.get(service.casefold(), ()) if a.takes(root.name)]
    if by_service:
        return _by_content(by_service, root) or by_service[0]
    candidates = table.by_root.get(root.name, ())
    return _by_content(candidates, root) or (candidates[0] if candidates else None)


def _by_content(actions: Sequence[Action], root: Element) -> Action | None:
    # The row that asks for the deepest thing says most: a status stands inside a request.
    fitting = [
        (max(len(path.steps) for path in action.when), action)
        for action in actions
        if action.when and any(find(root, path.steps) is not None for path in action.when)
    ]
    return max(fitting, key=lambda row: row[0])[1] if fitting else None


def _action(row: dict[str, Any], tree: dict[str, Any]) -> Action:
    shape = row.get("shape")
    rows = tree["shapes"][shape] if shape else []
    patient = _paths(row["patient"])[0] if "patient" in row else None
    return Action(
        name=row["action"],
        names=(row["action"], *row.get("also", ()), *row.get("services", ())),
        title=row["title"],
        requests=tuple(row["request"]),
        accept=row["accept"],
        refuse=row["refuse"],
        does=row["does"],
        map=row.get("map", ""),
        finds=row.get("finds", ""),
        filters={name: tuple(_list(row[name])) for name in ("class", "status", "code") if name in row},
        when=_paths(row["when"]) if "when" in row else (),
        cardinalities=tuple(
            _cardinality(one)
            for one in (
                *(() if row.get("envelope") else tree.get("envelope", ())),
                *rows,
                *row.get("must", ()),
            )
        ),
        envelope=row.get("envelope", "message"),
        patient=patient,
        needs=row.get("needs", ""),
    )


def _cardinality(row: Sequence[str]) -> Cardinality:
    text, range_ = row
    least, _, most = range_.partition("..")
    return Cardinality(_paths(text), int(least), None if most == "*" else int(most), text)


def _paths(text: str) -> tuple[XmlPath, ...]:
    found = []
    for part in text.split("|"):
        path = read(part, 0)
        if path is None or path[1] != len(part):
            raise ValueError(f"{part!r} is no path")
        found.append(path[0])
    return tuple(found)


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _frozen(rows: dict[str, list[Action]]) -> dict[str, tuple[Action, ...]]:
    return {name: tuple(actions) for name, actions in rows.items()}
