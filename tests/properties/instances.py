"""Instances of every R4 type, drawn from the definitions: structurally valid, of any shape."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from conformance.definitions import resource_types
from conformance.validation.tables import COMPLEX, PRIMITIVE, Spec, table

Json = dict[str, Any]
MAX_DEPTH = 2

_TEXT = st.text(st.sampled_from("abcXYZ 019.-中文é<>&\"'\n\t"), min_size=1, max_size=8)
_DATES = st.sampled_from(["2024", "2024-02", "2024-02-29", "1974-12-25"])
_CLOCK = st.sampled_from(["08:30:00", "23:59:60", "00:00:00.125"])
_DIV = st.sampled_from(
    [
        '<div xmlns="http://www.w3.org/1999/xhtml"><p>a &amp; b</p><br/></div>',
        '<div xmlns="http://www.w3.org/1999/xhtml" lang="zh">血压</div>',
    ]
)
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "unsignedInt": st.integers(0, 2**31 - 1),
    "positiveInt": st.integers(1, 2**31 - 1),
    "decimal": st.one_of(
        st.integers(-9, 99), st.sampled_from([Decimal("1.50"), Decimal("-0.001"), Decimal("1E+3")])
    ),
    "string": _TEXT,
    "markdown": _TEXT,
    "xhtml": _DIV,
    "code": st.sampled_from(["a", "final", "two words"]),
    "id": st.sampled_from(["a", "A-1.b", "x" * 64]),
    "uri": st.sampled_from(["http://example.org/a", "urn:oid:1.2.3"]),
    "url": st.just("https://example.org/x?y=1&z=2"),
    "canonical": st.just("http://example.org/a|1"),
    "oid": st.just("urn:oid:1.2.156"),
    "uuid": st.just("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    "date": _DATES,
    "dateTime": st.one_of(_DATES, st.builds("2024-02-29T{}+08:00".format, _CLOCK)),
    "instant": st.builds("2024-02-29T{}Z".format, _CLOCK),
    "time": _CLOCK,
    "base64Binary": st.sampled_from(["AAAA", "YQ==", "5Lit"]),
}


@st.composite
def resources(draw: st.DrawFn, type_name: str | None = None, depth: int = 0) -> Json:
    """A resource of a type, or of any."""
    name = type_name or draw(st.sampled_from(sorted(resource_types())))
    return {"resourceType": name} | draw(members(name, depth))


@st.composite
def members(draw: st.DrawFn, path: str, depth: int) -> Json:
    rows = table(path)
    needed = {names[0] for _, names in rows.required}
    optional = [name for name in rows.children if name not in needed]
    wanted = (
        draw(st.lists(st.sampled_from(optional), max_size=1 if depth else 4, unique=True))
        if depth < MAX_DEPTH
        else []
    )
    found: Json = {}
    stems: set[str] = set()
    for name in [*needed, *wanted]:
        spec = rows.children[name]
        if spec.stem is not None and spec.stem in stems:
            continue
        if spec.shape == PRIMITIVE or depth < MAX_DEPTH or name in needed:
            if spec.stem is not None:
                stems.add(spec.stem)
            draw_element(draw, found, spec, depth)
    if not (found.keys() - {"id"}) and not rows.is_resource:
        # Something other than an id: the first primitive that the type has, else an extension.
        spec = next(
            (row for row in rows.children.values() if row.shape == PRIMITIVE and row.name != "id"), None
        )
        found |= (
            {"extension": [{"url": "http://example.org/x", "valueBoolean": True}]} if spec is None else {}
        )
        if spec is not None:
            draw_element(draw, found, spec, depth)
    return found


def draw_element(draw: st.DrawFn, found: Json, spec: Spec, depth: int) -> None:
    count = draw(st.integers(1, 2)) if spec.repeats else 1
    values = [draw(value_of(spec, depth + 1)) for _ in range(count)]
    found[spec.name] = values if spec.repeats else values[0]
    if (
        spec.shape == PRIMITIVE
        and spec.type != "xhtml"
        and not spec.is_attribute
        and draw(st.integers(0, 9)) == 0
    ):
        extra = {"extension": [{"url": "http://example.org/x", "valueCode": "y"}]}
        if not spec.repeats:
            found["_" + spec.name] = extra
        else:
            found["_" + spec.name] = [None] * (count - 1) + [extra]


def value_of(spec: Spec, depth: int) -> st.SearchStrategy[Any]:
    if spec.shape == COMPLEX:
        return members(spec.table_path, depth)
    if spec.shape == PRIMITIVE:
        return st.sampled_from(sorted(spec.codes)) if spec.codes else PRIMITIVES[spec.type]
    return resources("Basic" if depth >= MAX_DEPTH else None, depth)
