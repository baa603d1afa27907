"""Where each property of a JSON text stands: the second, slow reading that serves people.

Paths are those of the JSON: `Patient.name[0].given[1]`, `Observation.valueQuantity.value`; the primitive sibling
`_birthDate` shares the path of `birthDate` when that is absent.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from terminology.fhirjson import decode

_TOKEN = re.compile(r'[ \t\n\r]*(?:([\[\]{},:])|("(?:[^"\\]|\\.)*")|([^\s\[\]{},:"]+))', re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/")
_OF_TYPE = re.compile(r"\.ofType\((\w+)\)")


@dataclass
class Positions:
    """`places`: JSON path → (line, column) counted from 1; `duplicates`: the second of two equal properties."""

    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    duplicates: list[tuple[str, tuple[int, int]]] = field(default_factory=list)

    def of(self, expression: str) -> tuple[int, int] | None:
        """Return the place of a FHIRPath as issues carry it, or of the nearest parent that is present."""
        path = json_path(expression)
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1].rpartition("[")[0] if path.endswith("]") else path.rpartition(".")[0]
        return self.places.get("")


def json_path(expression: str) -> str:
    """`Observation.value.ofType(Quantity)` → `Observation.valueQuantity`; FHIRPath comments vanish."""
    return _OF_TYPE.sub(lambda kind: kind[1][0].upper() + kind[1][1:], _COMMENT.sub("", expression))


def locate(raw: bytes) -> Positions:
    """Read `raw` (JSON known to be well-formed) again and return where its properties stand."""
    text = raw.decode(errors="replace")
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    root = decode(raw)
    found = Positions()

    def place(offset: int) -> tuple[int, int]:
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    # Each open container: its path, the keys seen (an object) or the next index (an array).
    stack: list[tuple[str, set[str] | None, list[int]]] = []
    path = str(root.get("resourceType", "")) if isinstance(root, dict) else ""
    expect_key = False
    offset = 0
    while match := _TOKEN.match(text, offset):
        offset = match.end()
        mark, string, other = match.groups()
        start = match.start(match.lastindex or 0)
        if expect_key and string:
            holder, keys, _ = stack[-1]
            name = string[1:-1]
            path = f"{holder}.{name.removeprefix('_')}" if holder else name
            found.places.setdefault(path, place(start))
            if keys is not None and name in keys:
                found.duplicates.append((path, place(start)))
            elif keys is not None:
                keys.add(name)
            expect_key = False
            continue
        if mark == ":":
            continue
        if mark in ("}", "]"):
            if not stack:
                break
            stack.pop()
            expect_key = False
            continue
        if mark == ",":
            expect_key = bool(stack) and stack[-1][1] is not None
            continue
        if stack and stack[-1][1] is None:
            holder, _, index = stack[-1]
            path = f"{holder}[{index[0]}]"
            index[0] += 1
            found.places.setdefault(path, place(start))
        elif not stack:
            found.places.setdefault(path, place(start))
        if mark == "{":
            stack.append((path, set(), [0]))
            expect_key = True
        elif mark == "[":
            stack.append((path, None, [0]))
        elif other is None and string is None:
            break
    return found
