"""The body of a shared document, whatever shape its sender gave it → sections that hold statements, flat.

The standards write one thing as a row of observations keyed by data elements (WS 363): item, result, unit. Senders nest
them in entryRelationships, put them beside each other in an organizer, or give each an entry of its own; some leave
out structuredBody. Maps shall read one shape:

    ClinicalDocument: header as sent, section*
    section:          code, title, text, (finding | result | pressure | diagnosis | procedure | medication | … | media | other)*
    each of these:    the observation or act as sent, with `@de` (data element), `@n` (its number among those of its
                      kind; of findings and goals among those of the same element and name), `@group` (name of its organizer), and `part`*: what is nested in it or belongs to it

A part is an observation too; `media` is a picture or file, `other` what an act, visit, supply or organizer says itself, kept
so that nothing sent is lost unseen. Instead of sections a body may be one file: nonXMLBody. Which elements belong together
is data: statements.toml.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mappings.xml.tree import Element

DATA_ELEMENT = re.compile(r"DE(\d{1,2})\.(\d{1,2})\.(\d{1,3})(?:\.(\d{1,2}))?", re.IGNORECASE)
_HOLDERS = {"entry", "component", "entryRelationship"}
_ACTS = {"act", "encounter", "supply"}
# What an organizer says of all that stands in it, where that doesn't say it itself.
_COMMON = ("effectiveTime", "performer")
_SAID_OF_ORGANIZER = {*_HOLDERS, *_COMMON, "observation", "code", "statusCode", "templateId"}
# LOINC codes of sections that hold results of studies.
_STUDIES = {"30954-2", "26436-6", "11502-2"}
_HEAD = {"code", "title", "text", "id", "templateId"}


@dataclass(frozen=True)
class Kinds:
    """statements.toml. `starts`, `before`: code → kind; `holds`: code without its last part → kinds that take it."""

    starts: dict[str, str]
    begins: dict[str, str]
    before: dict[str, str]
    holds: dict[str, set[str]]
    elements: dict[str, str]
    aliases: dict[str, str]
    acts: dict[str, str]
    alone: set[str]
    renames: dict[str, tuple[tuple[str, ...], str]]


@dataclass
class _Open:
    """The statement that later observations of the section may belong to."""

    kind: str
    element: Element
    codes: set[str] = field(default_factory=set)


def flatten(root: Element) -> Element:
    """Return the document with its body as sections of statements; `root` is not changed."""
    made = Element(root.name, root.attributes, None, root.line)
    for child in root.children:
        if child.name != "component":
            adopt(made, child)
        for body in child.all("nonXMLBody") if child.name == "component" else ():
            adopt(made, body)
    numbers: dict[tuple[str, ...], int] = {}
    for section in _sections(root):
        made_section = Element("section", section.attributes, made, section.line)
        append(made, made_section)
        for child in section.children:
            if child.name in _HEAD:
                adopt(made_section, child)
        _Section(made_section, numbers).read(section)
    return made


@cache
def data_element(code: str) -> str:
    """Return a data element's code as the standard writes it (DE04.30.019.00), "" for what is none."""
    found = DATA_ELEMENT.fullmatch(code.strip()) if len(code) < 40 else None
    if found is None:
        return ""
    major, minor, number, variant = found.groups()
    whole = f"DE{major:0>2}.{minor:0>2}.{number:0>3}.{variant or '00':0>2}"
    return kinds().aliases.get(whole, whole)


@cache
def kinds() -> Kinds:
    with (Path(__file__).parent / "statements.toml").open("rb") as file:
        table = tomllib.load(file)
    made = Kinds({}, {}, {}, {}, {}, table["aliases"], table["acts"], {"finding"}, {})
    for row in table["renames"]:
        made.renames[row["element"]] = (tuple(row["names"]), row["becomes"])
    for kind, row in table["statements"].items():
        made.elements[kind] = row.get("element", kind)
        if row.get("alone"):
            made.alone.add(kind)
        made.starts.update(dict.fromkeys(row["starts"], kind))
        made.begins.update(dict.fromkeys(row.get("begins", ()), kind))
        made.before.update(dict.fromkeys(row.get("before", ()), kind))
        for code in row["holds"]:
            made.holds.setdefault(code, set()).add(kind)
    return made


class _Section:
    """Reads one section; observations come in document order. `numbers`: those given in this document so far."""

    def __init__(self, made: Element, numbers: dict[tuple[str, ...], int]) -> None:
        self.made = made
        self.numbers = numbers
        self.open: _Open | None = None
        self.waiting: list[tuple[Element, str]] = []
        self.group = ""
        self.common: list[Element] = []
        code = made.first("code")
        self.is_studies = code is not None and code.get("code") in _STUDIES

    def read(self, holder: Element) -> None:
        for child in holder.children:
            name = child.name
            if name == "observation" and child.first("component") is None:
                self._observation(child)
            elif name in kinds().acts:
                self._act(child)
            elif name in ("organizer", "observation"):
                self._organizer(child)
            elif name == "observationMedia":
                self._other("media", child.children)
            elif name in _HOLDERS:
                if child.first("section") is None:
                    self.read(child)
            elif name in _ACTS:
                self._other("other", [one for one in child.children if one.name not in _HOLDERS])
                self.read(child)
        if holder.name in ("section", "organizer"):
            self._flush()

    def _organizer(self, organizer: Element) -> None:
        # What stands in one organizer belongs to nothing outside of it.
        self.open, outer = None, self.group
        code = organizer.first("code")
        self.group = (code.get("displayName") or code.own_text()) if code is not None else ""
        common = self.common
        self.common = [child for child in organizer.children if child.name in _COMMON] or common
        said = [child for child in organizer.children if child.name not in _SAID_OF_ORGANIZER]
        self._other("other", said)
        self.read(organizer)
        self.open, self.group, self.common = None, outer, common

    def _observation(self, observation: Element) -> None:
        code = code_of(observation)
        kind = _kind(code, observation)
        if not code and kind is None and self.is_studies and observation.first("value") is not None:
            # A result under the item's own code, as other CDA standards write it.
            kind = "result"
        current = self.open
        if current is not None and self._belongs(code, kind, current):
            current.codes.add(code)
            self._part(current.element, observation, code)
            return
        early = kinds().before.get(code)
        if early is not None and kind is None:
            self.open = None
            self.waiting.append((observation, code))
            return
        if kind is None or kinds().before.get(self.waiting[0][1] if self.waiting else "") != kind:
            self._flush()
        made = self._statement(kind or "finding", observation, code)
        self.open = _Open(kind, made, {code, *_codes_below(observation)}) if kind else None
        waiting, self.waiting = self.waiting, []
        for part, part_code in waiting:
            self._part(made, part, part_code)

    def _flush(self) -> None:
        """What came early for a statement that never came is a finding of its own."""
        waiting, self.waiting = self.waiting, []
        for observation, code in waiting:
            self._statement("finding", observation, code)

    @staticmethod
    def _belongs(code: str, kind: str | None, current: _Open) -> bool:
        if not code or code in current.codes:
            return False
        if kind is not None and kind == current.kind:
            return kind not in kinds().alone
        return current.kind in kinds().holds.get(code[:11], ())

    def _act(self, act: Element) -> None:
        self._flush()
        kind = kinds().acts[act.name]
        made = self._statement(kind, act, "")
        self.open = _Open(kind, made, {"", *_codes_below(act)})

    def _statement(self, kind: str, source: Element, code: str) -> Element:
        name = kinds().elements.get(kind, kind)
        # What one map takes out of the findings must not change the number of the others.
        alike = (name, code, name_of(source)) if name in kinds().alone else (name,)
        number = self.numbers[alike] = self.numbers.get(alike, 0) + 1
        own = {"de": code, "n": str(number)} | ({"group": self.group} if self.group else {})
        made = Element(name, {**source.attributes, **own}, self.made, source.line)
        append(self.made, made)
        self._fill(made, source, made)
        for child in self.common:
            if made.first(child.name) is None:
                adopt(made, child)
        return made

    def _other(self, name: str, said: list[Element]) -> None:
        if said:
            made = Element(name, {}, self.made, said[0].line)
            append(self.made, made)
            for child in said:
                adopt(made, child)

    def _part(self, statement: Element, source: Element, code: str) -> None:
        part = Element("part", {**source.attributes, "de": code}, statement, source.line)
        append(statement, part)
        self._fill(part, source, statement)

    def _fill(self, made: Element, source: Element, statement: Element) -> None:
        """Give `made` the children of `source`; nested observations become parts of the statement."""
        for child in source.children:
            nested = [child] if child.name == "observation" else _nested(child)
            if not nested:
                adopt(made, child)
            for observation in nested:
                self._part(statement, observation, code_of(observation))


def code_of(observation: Element) -> str:
    """Return the data element of an observation, "" when its code is none."""
    code = observation.first("code")
    if code is None:
        return ""
    found = data_element(code.attributes.get("code", ""))
    if found in kinds().renames:
        words, becomes = kinds().renames[found]
        if any(word in name_of(observation) for word in words):
            return becomes
    return found


def name_of(observation: Element) -> str:
    """Return what the code of an observation calls itself."""
    code = observation.first("code")
    return (code.get("displayName") or code.own_text()) if code is not None else ""


def append(parent: Element, child: Element) -> None:
    parent.children.append(child)
    parent.kids.setdefault(child.name, []).append(child)


def adopt(parent: Element, child: Element) -> None:
    """Hang a subtree of the document under its new parent: a shallow copy, so that its path is that of the new tree."""
    copied = Element(child.name, child.attributes, parent, child.line)
    copied.text, copied.children, copied.kids = child.text, child.children, child.kids
    append(parent, copied)


def _kind(code: str, observation: Element) -> str | None:
    for start, kind in kinds().begins.items():
        if name_of(observation).startswith(start):
            return kind
    return kinds().starts.get(code)


def _codes_below(element: Element) -> Iterator[str]:
    return (
        code_of(inner) for inner in element.walk() if inner.name == "observation" and inner is not element
    )


def _nested(child: Element) -> list[Element]:
    if child.name not in ("entryRelationship", "component", "organizer"):
        return []
    found: list[Element] = []
    for inner in child.children:
        found += [inner] if inner.name == "observation" else _nested(inner)
    return found


def _sections(root: Element) -> Iterator[Element]:
    """Yield the sections in order, those inside others after their own; some senders leave out structuredBody."""
    stack = [child for child in reversed(root.children) if child.name in ("component", "structuredBody")]
    while stack:
        here = stack.pop()
        if here.name == "section":
            yield here
        stack.extend(
            child
            for child in reversed(here.children)
            if child.name in ("component", "structuredBody", "section")
        )
