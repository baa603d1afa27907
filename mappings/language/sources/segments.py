"""HL7 v2 segments as a source: paths such as `PID-3[1].4.2`, `PID-3[]`, `NTE[]-3`, `OBX`; `each: order.OBX`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, NamedTuple

from mappings.language.document import Document
from mappings.language.grouping import Grouping
from mappings.language.sources import Level, SourceError
from mappings.language.sources.fields import FIELD_LIMIT, Fields, TracedFields

_PLACE = (
    r"(?P<occurrence>\[\d*\])?"
    r"(?:-(?P<field>\d{1,3})(?P<repetition>\[\d*\])?(?:\.(?P<component>\d{1,2})(?:\.(?P<subcomponent>\d{1,2}))?)?)?"
    r"(?![A-Za-z0-9_\[])"
)
_PATH = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})" + _PLACE)
_RECORD_PATH = re.compile(r"(?P<segment>[HPORCQMSL])" + _PLACE)
_PLAIN = re.compile(r"f\d+\[\d+\]")
_TOKEN = re.compile("\ue000\\d+\ue001")
_GROUP_STEP = re.compile(r"[a-z][a-z0-9_-]*")


class SegmentPath(NamedTuple):
    """`occurrence`, `repetition`: 0 = not written, -1 = `[]`, else the number; other parts 0 = not written."""

    segment: str
    occurrence: int
    field: int
    repetition: int
    component: int
    subcomponent: int

    def __str__(self) -> str:
        return f"{self.segment}-{self.field}" if self.field else self.segment


@dataclass
class _Scope:
    """What names mean inside one loop: the group, the segment that the loop walks, the field whose repetitions it walks."""

    variable: str
    group: str
    segment: str = ""
    segment_variable: str = ""
    field: tuple[str, int] | None = None
    text_variable: str = ""
    takes: dict[str, list[Any]] = attribute(default_factory=dict)
    shared: dict[str, "_Shared"] = attribute(default_factory=dict)


@dataclass
class _Shared:
    """An expression over the fields of one scope. Used twice or inside an inner loop, it is computed once, ahead.

    `token` stands for it in the code until that is known. It is written with characters that Python's repr never lets
    through, so no text of a map can look like it.
    """

    code: str
    token: str
    name: str
    uses: int = 0
    is_deep: bool = False


class SegmentSource:
    path = _PATH

    def __init__(self, document: Document, *, traced: bool) -> None:
        self.grouping = Grouping(document.groups)
        self.traced = traced
        self.count = 0
        self.shared: list[_Shared] = []
        # (group, segment) → field numbers that some line reads; 0 stands for all.
        self.reads: dict[tuple[str, str], set[int]] = {}
        for name in document.groups:
            parent = name.rpartition(".")[0]
            if parent and parent not in document.groups:
                raise SourceError(f"group {name}: there is no group {parent}")

    def read_path(self, text: str, at: int) -> tuple[SegmentPath, int] | None:
        match = self.path.match(text, at)
        if match is None:
            return None
        path = SegmentPath(
            match["segment"],
            _number(match["occurrence"]),
            int(match["field"] or 0),
            _number(match["repetition"]),
            int(match["component"] or 0),
            int(match["subcomponent"] or 0),
        )
        if path.field > FIELD_LIMIT or (match["field"] and not path.field):
            return None
        return path, match.end()

    def root(self) -> Level:
        return Level((), None, "", _Scope("g0", ""))

    def open(self, parent: Level, each: str) -> Level:
        """Return the loop for `each` inside `parent`: group steps first, then a segment or the repetitions of a field."""
        level = parent
        rest = each.strip()
        while rest:
            step, rest = self._step(rest)
            if step in level.children:
                level = level.children[step]
                continue
            opened = self._loop(level, step)
            level.children[step] = opened
            level = opened
        if level is parent:
            raise SourceError(f"each {each!r} names nothing")
        return level

    def _step(self, rest: str) -> tuple[str, str]:
        match = _GROUP_STEP.match(rest)
        if match:
            after = rest[match.end() :]
            if after[:1] not in ("", "."):
                raise SourceError(f"each: {rest!r} is neither a group nor a segment")
            return match[0], after[1:]
        return rest, ""

    def _loop(self, parent: Level, step: str) -> Level:
        self.count += 1
        number = self.count
        scope: _Scope = parent.state
        key = (*parent.key, step)
        if _GROUP_STEP.fullmatch(step):
            outer = next(
                (level.state for level in parent.chain() if self._has_group(level.state.group, step)), None
            )
            if outer is None:
                known = ", ".join(self.grouping.rules) or "none"
                raise SourceError(f"there is no group {step!r} here; groups of this map: {known}")
            group = f"{outer.group}.{step}" if outer.group else step
            header = f"for g{number} in {outer.variable}.groups.get({group!r}, ()):"
            return Level(key, parent, header, _Scope(f"g{number}", group))
        found = self.read_path(step, 0)
        if found is None or found[1] != len(step):
            raise SourceError(f"each: {step!r} is neither a group, a segment nor a field")
        path = found[0]
        if not path.field:
            owner = self._owner(path.segment, parent)
            header = f"for s{number} in {owner.variable}.get({path.segment!r}, ()):"
            inner = _Scope(scope.variable, scope.group, path.segment, f"s{number}")
            return Level(key, parent, header, inner)
        whole = path._replace(repetition=-1, component=0, subcomponent=0)
        header = f"for r{number} in {self.raws(whole, parent, None)}:"
        inner = _Scope(
            scope.variable, scope.group, field=(path.segment, path.field), text_variable=f"r{number}"
        )
        return Level(key, parent, header, inner)

    def _has_group(self, outer: str, step: str) -> bool:
        return (f"{outer}.{step}" if outer else step) in self.grouping.rules

    def _owner(self, segment: str, level: Level) -> _Scope:
        """Return the innermost scope whose group holds `segment`; the message when none does."""
        scopes: list[_Scope] = [inner.state for inner in level.chain()]
        for scope in scopes:
            if scope.group and segment in self.grouping.names(scope.group):
                return scope
        for name, rule in self.grouping.rules.items():
            if "." not in name and segment in (*rule.starts, *rule.before):
                raise SourceError(f"{segment} stands in group {name}: use `each: {name}`")
        return scopes[-1]

    def _inner_group(self, segment: str, level: Level) -> str | None:
        """Return the group right inside this loop's group that `segment` starts, unless an open group holds it.

        `OBX[]` of an order means all its results, though each result is a group of its own.
        """
        scopes: list[_Scope] = [inner.state for inner in level.chain()]
        if any(scope.group and segment in self.grouping.names(scope.group) for scope in scopes):
            return None
        inside = f"{scopes[0].group}." if scopes[0].group else ""
        for name, rule in self.grouping.rules.items():
            if name.startswith(inside) and "." not in name[len(inside) :] and segment in rule.starts:
                return name
        return None

    def prelude(self, level: Level) -> list[str]:
        """Return the lines that fetch the segments which this loop's body reads, padded to the fields it reads."""
        lines = []
        scope: _Scope = level.state
        for name, (variable, width) in scope.takes.items():
            if name == scope.segment:
                lines.append(f"{variable} = fields({scope.segment_variable}, {width})")
            else:
                lines.append(f"{variable} = take({scope.variable}, {name!r}, {width})")
        lines += [f"{one.name} = {one.code}" for one in scope.shared.values() if one.uses > 1 or one.is_deep]
        return lines

    def settle(self, code: str) -> str:
        """Return the code with the name, or the expression itself, in the place of each token."""
        found = {one.token: one.name if one.uses > 1 or one.is_deep else one.code for one in self.shared}
        return _TOKEN.sub(lambda match: found[match[0]], code)

    def _share(self, code: str, segment: str, level: Level) -> str:
        """Return the token of an expression over the fields of `segment`."""
        home = self._home(segment, level)
        scope: _Scope = home.state
        known = scope.shared.get(code)
        if known is None:
            number = len(self.shared)
            known = scope.shared[code] = _Shared(code, f"\ue000{number}\ue001", f"e{number}")
            self.shared.append(known)
        known.uses += 1
        inner = level
        while not inner.header and inner.parent is not None:
            inner = inner.parent
        known.is_deep = known.is_deep or inner.state is not scope
        return known.token

    def _line(self, segment: str, number: int, level: Level) -> str:
        """Return the variable that holds the fields of `segment`, wide enough for field `number`."""
        scope: _Scope = self._home(segment, level).state
        self._read(scope.group, segment, number)
        if segment not in scope.takes:
            self.count += 1
            scope.takes[segment] = [f"f{self.count}", number]
        take = scope.takes[segment]
        take[1] = max(take[1], number)
        return str(take[0])

    def _home(self, segment: str, level: Level) -> Level:
        """Return the loop in which the fields of `segment` are fetched."""
        for inner in level.chain():
            scope: _Scope = inner.state
            if scope.segment == segment:
                return inner
            is_group_loop = scope.group and not scope.field and not scope.segment
            if is_group_loop and segment in self.grouping.names(scope.group):
                return inner
        self._owner(segment, level)
        return level.chain()[-1]

    def _read(self, group: str, segment: str, number: int) -> None:
        if not group or segment in self.grouping.names(group):
            self.reads.setdefault((group, segment), set()).add(number)
        else:
            self.reads.setdefault(("", segment), set()).add(number)

    def _place(self, path: SegmentPath, level: Level) -> tuple[str, bool]:
        """Return the expression of a raw field, and whether it already is one repetition."""
        if path.occurrence > 0:
            owner = self._owner(path.segment, level)
            self._read(owner.group, path.segment, path.field)
            return f"nth({owner.variable}, {path.segment!r}, {path.occurrence}, {path.field})", False
        for inner in level.chain():
            scope: _Scope = inner.state
            if scope.field == (path.segment, path.field) and not path.repetition:
                return (f"seen({scope.text_variable})" if self.traced else scope.text_variable), True
            if scope.segment == path.segment:
                break
        return f"{self._line(path.segment, path.field, level)}[{path.field}]", False

    def text(self, path: SegmentPath, level: Level) -> str:
        if not path.field:
            raise SourceError(f"{path.segment} is a whole segment: name a field, or give it to a converter")
        code, _ = self._place(path, level)
        if path.segment in ("MSH", "FHS", "BHS") and path.field <= 2:
            return code
        if path.repetition > 1:
            code = f"repetition({code}, {path.repetition})"
        name = f"text_{path.component or 1}_{path.subcomponent or 1}"
        return self._guarded(name, code, path, level)

    def texts(self, path: SegmentPath, level: Level) -> str:
        name = f"text_{path.component or 1}_{path.subcomponent or 1}"
        return f"list(filter(None, map({name}, {self._list(path, level)})))"

    def raw(self, path: SegmentPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        if not path.field:
            return self._segment(path, level, reads)
        code, is_one = self._place(path, level)
        if path.component:
            return f"part({code}, {path.repetition or 1}, {path.component}, {path.subcomponent})"
        if is_one:
            return code
        if path.repetition > 1:
            return f"repetition({code}, {path.repetition})"
        return self._guarded("first", code, path, level)

    def _guarded(self, function: str, code: str, path: SegmentPath, level: Level) -> str:
        """Return the call of `function` on a field. Most fields of most messages are empty: that needs no call."""
        if self.traced:
            return f"{function}({code})"
        guarded = f"({function}(q) if (q := {code}) else '')"
        # Only a plain place in a fetched line means the same wherever it stands.
        return self._share(guarded, path.segment, level) if _PLAIN.fullmatch(code) else guarded

    def raws(self, path: SegmentPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        if not path.field:
            owner = self._owner(path.segment, level)
            self._read_whole(owner.group, path.segment, reads)
            code = f"{owner.variable}.get({path.segment!r}, ())"
            inner = self._inner_group(path.segment, level)
            if inner is not None:
                self._read_whole(inner, path.segment, reads)
                groups = f"{level.state.variable}.groups.get({inner!r}, ())"
                code = f"[*{code}, *(s for inner in {groups} for s in inner.get({path.segment!r}, ()))]"
            return f"whole_all({code}, {reads!r})" if self.traced else code
        code = self._list(path, level)
        if path.component:
            return f"parts({code}, {path.component}, {path.subcomponent})"
        return code

    def _list(self, path: SegmentPath, level: Level) -> str:
        if path.occurrence < 0:
            owner = self._owner(path.segment, level)
            self._read(owner.group, path.segment, path.field)
            return f"column({owner.variable}, {path.segment!r}, {path.field}, {path.repetition < 0})"
        code, is_one = self._place(path, level)
        if is_one:
            return f"[{code}]"
        if self.traced:
            line, _, _ = code.partition("[")
            return f"repetitions({line}, {path.field})"
        return f"(repetitions(q) if (q := {code}) else ())"

    def _segment(self, path: SegmentPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        for inner in level.chain():
            scope: _Scope = inner.state
            if scope.segment == path.segment:
                self._read_whole(scope.group, path.segment, reads)
                code = scope.segment_variable
                return f"whole({code}, {reads!r})" if self.traced else code
        owner = self._owner(path.segment, level)
        self._read_whole(owner.group, path.segment, reads)
        code = f"one({owner.variable}, {path.segment!r}, {max(path.occurrence, 1)})"
        return f"whole({code}, {reads!r})" if self.traced else code

    def _read_whole(self, group: str, segment: str, reads: Mapping[str, tuple[int, ...]] | None) -> None:
        for number in (0,) if reads is None else reads.get(segment, (0,)):
            self._read(group, segment, number)

    def present(self, path: SegmentPath, level: Level) -> str:
        if path.field:
            return self.text(path, level)
        return self.anchor(path, level)

    def anchor(self, path: SegmentPath, level: Level) -> str:
        if any(inner.state.segment == path.segment for inner in level.chain()):
            return "True"
        return f"({path.segment!r} in {self._owner(path.segment, level).variable})"

    def is_all(self, path: SegmentPath) -> bool:
        return path.repetition < 0 or path.occurrence < 0

    def is_whole(self, path: SegmentPath) -> bool:
        return not path.field

    def runtime(self, *, traced: bool) -> Any:
        return TracedFields if traced else Fields


class RecordSource(SegmentSource):
    """Records of ASTM E1394: `P-3`, `R[2]-3.4`, `each: order.result`; fields as the standard numbers them."""

    path = _RECORD_PATH


def _number(text: str | None) -> int:
    """ "" → 0, "[]" → -1, "[2]" → 2."""
    if not text:
        return 0
    return int(text[1:-1]) if len(text) > 2 else -1
