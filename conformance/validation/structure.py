"""Structure: does a resource consist of what its type allows? (https://hl7.org/fhir/R4/json.html)

Walks what is present, once, and names every problem with its FHIRPath: JSON types, formats, cardinality, choices,
unknown elements, empty values, the `_name` siblings of primitives, required codes.
"""

from difflib import get_close_matches
from typing import Any

from conformance.definitions import is_resource, resource_types
from conformance.formats.json import MAX_DEPTH
from conformance.validation.path import Path
from conformance.validation.primitives import Problem, json_kind, json_type
from conformance.validation.tables import COMPLEX, PRIMITIVE, Spec, Table, table
from terminology.fhirjson import Json
from terminology.issues import Issue

_MISSING = object()


def structure_issues(resource: Any) -> list[Issue]:
    """Return what is wrong with the structure of a resource; an empty list when nothing is."""
    walk = _Walk()
    if isinstance(resource, dict):
        name = resource.get("resourceType")
        walk.resource(resource, Path(None, name if isinstance(name, str) else "Resource"), 0)
    else:
        walk.report("HT-VAL-04", None, name="Resource", expected="object", found=json_kind(resource))
    return walk.issues


class _Walk:
    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def report(self, code: str, path: Path | None, /, **values: Any) -> None:
        self.issues.append(Issue(code, values, "error", str(path) if path else None))

    def resource(self, value: Json, path: Path, depth: int) -> None:
        name = value.get("resourceType")
        if not isinstance(name, str) or not is_resource(name):
            near = get_close_matches(str(name), resource_types(), 1)
            self.report(
                "HT-VAL-01",
                path,
                found=name if name is not None else "–",
                near=near[0] if near else "Patient",
            )
            return
        self.members(value, table(name), path, depth)

    def members(self, value: Json, rows: Table, path: Path, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.report("HT-VAL-21", path, limit=MAX_DEPTH)
            return
        if not value:
            self.report("HT-VAL-18", path)
            return
        if len(value) == 1 and "id" in value and not rows.is_resource:
            self.report("HT-VAL-22", path)
        children = rows.children
        chosen: dict[str, str] | None = None
        for key, item in value.items():
            spec = children.get(key)
            if spec is None:
                spec = self._extra(key, value, rows, path, depth)
                if spec is None or spec.name in value:
                    continue
            elif spec.repeats:
                self._array(item, spec, value, path, depth)
            else:
                self._one(item, spec, value, path, depth)
            if spec.stem is not None:
                chosen = chosen if chosen is not None else {}
                first = chosen.setdefault(spec.stem, spec.name)
                if first != spec.name:
                    self.report(
                        "HT-VAL-15", Path(path, spec.stem), name=spec.stem, first=first, second=spec.name
                    )
        for name, keys in rows.required:
            for key in keys:
                if key in value or "_" + key in value:
                    break
            else:
                self.report("HT-VAL-14", path, name=name, type=rows.path)

    def _one(self, item: Any, spec: Spec, holder: Json, path: Path, depth: int) -> None:
        if spec.shape == PRIMITIVE:
            problem = spec.check(item)
            if problem is not None:
                self._primitive_problem(
                    problem, item, spec, Path(path, spec.stem or spec.name, None, spec.kind), holder
                )
            elif spec.codes is not None and item not in spec.codes:
                self._code(item, spec, Path(path, spec.stem or spec.name, None, spec.kind))
            return
        self._complex(item, spec, Path(path, spec.stem or spec.name, None, spec.kind), depth)

    def _array(self, items: Any, spec: Spec, holder: Json, path: Path, depth: int) -> None:
        if type(items) is not list:
            if items is None:
                self.report("HT-VAL-19", Path(path, spec.name))
                return
            self.report("HT-VAL-03", Path(path, spec.name), name=spec.name, found=json_kind(items))
            items = [items]
        elif not items:
            self.report("HT-VAL-17", Path(path, spec.name))
            return
        for index, item in enumerate(items):
            where = Path(path, spec.name, index)
            if spec.shape == PRIMITIVE:
                if item is None:
                    self._null(spec, holder, index, where)
                    continue
                problem = spec.check(item)
                if problem is not None:
                    self._primitive_problem(problem, item, spec, where, holder)
                elif spec.codes is not None and item not in spec.codes:
                    self._code(item, spec, where)
            else:
                self._complex(item, spec, where, depth)

    def _complex(self, item: Any, spec: Spec, where: Path, depth: int) -> None:
        if type(item) is not dict:
            if item is None:
                self.report("HT-VAL-19", where)
            else:
                self.report("HT-VAL-04", where, name=spec.name, expected="object", found=json_kind(item))
        elif spec.shape == COMPLEX:
            self.members(item, table(spec.table_path), where, depth + 1)
        else:
            self.resource(item, where, depth + 1)

    def _primitive_problem(self, problem: Problem, item: Any, spec: Spec, where: Path, holder: Json) -> None:
        if item is None:
            self.report("HT-VAL-19", where)
        elif isinstance(item, list):
            self.report("HT-VAL-04", where, name=spec.name, expected=json_type(spec.type), found="array")
        elif (
            isinstance(item, dict) and (inner := item.get("value", _MISSING)) is not _MISSING and len(holder)
        ):
            self.report("HT-VAL-23", where, name=spec.name, value=str(inner)[:40])
        else:
            self.report(problem.code, where, **problem.values)

    def _code(self, item: str, spec: Spec, where: Path) -> None:
        codes = spec.codes or frozenset()
        near = get_close_matches(item, codes, 1) or get_close_matches(item.lower(), codes, 1)
        shown = ", ".join(sorted(codes)[:12]) + (" …" if len(codes) > 12 else "")
        value_set = spec.binding.value_set if spec.binding else ""
        self.report(
            "HT-VAL-16",
            where,
            value=item[:80],
            value_set=value_set,
            codes=shown,
            near=near[0] if near else sorted(codes)[0],
        )

    def _null(self, spec: Spec, holder: Json, index: int, where: Path) -> None:
        """A null keeps the place of a value that has only extensions (json.html#primitive)."""
        extras = holder.get("_" + spec.name)
        if not (isinstance(extras, list) and index < len(extras) and extras[index]):
            self.report("HT-VAL-19", where)

    def _extra(self, key: str, holder: Json, rows: Table, path: Path, depth: int) -> Spec | None:
        """Check a property that is no element: resourceType, `_name`, or unknown."""
        if key == "resourceType" and rows.is_resource:
            return None
        spec = rows.children.get(key[1:]) if key.startswith("_") else None
        if spec is None or spec.shape != PRIMITIVE or spec.is_attribute:
            self._unknown(key, rows, path)
            return None
        items, name = holder[key], spec.stem or spec.name
        if not spec.repeats:
            self._sibling(items, key, Path(path, name, None, spec.kind), depth)
            return spec
        where = Path(path, name)
        if type(items) is not list:
            self.report("HT-VAL-03", where, name=key, found=json_kind(items))
        elif not items:
            self.report("HT-VAL-17", where)
        else:
            values = holder.get(spec.name)
            if isinstance(values, list) and len(items) > len(values):
                self.report("HT-VAL-20", where, name=key, count=len(items), values=len(values))
            for index, item in enumerate(items):
                if item is not None:
                    self._sibling(item, key, Path(path, name, index), depth)
                elif values is None or (
                    isinstance(values, list) and index < len(values) and values[index] is None
                ):
                    self.report("HT-VAL-19", Path(path, name, index))
        return spec

    def _sibling(self, item: Any, key: str, where: Path, depth: int) -> None:
        if type(item) is not dict:
            self.report("HT-VAL-04", where, name=key, expected="object", found=json_kind(item))
        elif item:
            self.members(item, table("Element"), where, depth + 1) if item.keys() != {"id"} else None
        else:
            self.report("HT-VAL-18", where)

    def _unknown(self, key: str, rows: Table, path: Path) -> None:
        names = list(rows.children)
        near = [name for name in names if rows.children[name].stem == key][:1] or get_close_matches(
            key, names, 1, 0.5
        )
        self.report("HT-VAL-02", path, name=key[:80], type=rows.path, near=near[0] if near else names[-1])
