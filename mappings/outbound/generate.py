"""Generate the Python of a map that runs back: one function from a focus resource to segments or a nested body."""

import re
from dataclasses import dataclass

from mappings.language.emit import Generated
from mappings.language.expression import Node, Ref
from mappings.language.objects import ObjectWriter
from mappings.language.sources import Level, SourceError
from mappings.language.sources.resources import ResourceSource
from mappings.language.targets import Object

_HELPERS = ("joined", "as_text", "as_list", "any_in", "converted", "flattened")
_TRACING = ("start", "mark", "mark_items", "missing")
_SOURCE_NAMES = ("text", "value", "values", "items", "fact")


@dataclass
class Plan:
    """One segment or group, checked. `level`: what its paths start at; `body`: its fields, None for a mere group."""

    name: str
    segment: str
    level: Level
    is_loop: bool
    when: Node | None
    body: Object | None
    parts: list["Plan"]


class OutboundGenerator(ObjectWriter):
    """Writes `build(b)`, which returns `run(g0, x)`: a list of (segment, fields), or a dict."""

    def __init__(self, source: ResourceSource, root: Level, *, traced: bool) -> None:
        super().__init__(source, traced=traced)
        self.root = root

    def segments(self, plans: list[Plan]) -> Generated:
        lines = ["out = []"]
        for plan in plans:
            lines += self._part(plan)
        return self._finished([*lines, "return out"])

    def body(self, body: Object) -> Generated:
        lines = ["out = {}", *self._nested(body, self.root, lambda made: [f"out = {made}"]), "return out"]
        return self._finished(lines)

    def test(self, node: Node | None) -> Generated:
        """Return `run(g0, x)` → whether a condition holds of the focus."""
        return self._finished([f"return bool({self.condition(node, self.root)})" if node else "return True"])

    def where(self, ref: Ref, level: Level) -> str:  # noqa: ARG002  # of the base class
        raise SourceError(f"ref {ref.name}: a map that runs back follows references with ->")

    def _part(self, plan: Plan) -> list[str]:
        self.label = plan.name
        lines: list[str] = []
        if plan.body is not None:
            lines += self._nested(
                plan.body, plan.level, lambda made: [f"out.append(({plan.segment!r}, {made}))"]
            )
        for part in plan.parts:
            lines += self._part(part)
        if plan.when is not None:
            lines = [
                f"if {self.condition(plan.when, plan.level)}:",
                *("    " + line for line in lines or ["pass"]),
            ]
        level = plan.level
        if plan.is_loop:
            return [level.header, *("    " + line for line in (*self.source.prelude(level), *lines, "pass"))]
        return lines

    def _finished(self, inner: list[str]) -> Generated:
        text = "\n".join(inner)
        called = set(re.findall(r"\b([a-z_]+)\b", text))
        names = [name for name in (*_HELPERS, *(_TRACING if self.traced else ())) if name in called]
        lines = ["def build(b):", *(f"    {name} = b.{name}" for name in names)]
        lines += [f"    {name} = b.functions[{name!r}]" for name in _SOURCE_NAMES if name in called]
        lines += [f"    c{number} = b.site({number})" for number in range(len(self.made.sites))]
        lines += [f"    k{number} = b.constants[{number}]" for number in range(len(self.made.constants))]
        lines += ["    def run(g0, x):", *("        " + line for line in inner), "    return run"]
        self.made.code = "\n".join(lines) + "\n"
        return self.made
