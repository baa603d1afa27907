"""A result for people: the Bundle, where every value came from, what was not read and not known."""

from mappings.language.result import Result
from terminology.fhirjson import Json

_TRACE_LIMIT = 5000


def preview(result: Result, *, base: str = "") -> list[Json]:
    """Return Parameters rows of one result: `return` (the Bundle) and `message` with what is known about it."""
    parts: list[Json] = [
        {"name": "mapping", "valueString": result.mapping},
        {"name": "version", "valueString": result.version},
        {"name": "facility", "valueString": result.facility or "-"},
        {"name": "charset", "valueString": result.codec},
        {"name": "charsetGuessed", "valueBoolean": result.is_guessed},
    ]
    if result.kind:
        parts.append({"name": "kind", "valueString": result.kind})
    if result.control_id:
        parts.append({"name": "controlId", "valueString": result.control_id})
    for leaf in (result.trace or ())[:_TRACE_LIMIT]:
        row: list[Json] = [
            {"name": "path", "valueString": f"entry[{leaf.entry}].resource.{leaf.path.partition('.')[2]}"},
            {"name": "line", "valueString": leaf.line},
        ]
        row += [{"name": "source", "valueString": source} for source in leaf.sources]
        parts.append({"name": "trace", "part": row})
    coverage = result.coverage
    parts.append({"name": "fieldsRead", "valueInteger": coverage.read})
    for unread in coverage.unread:
        parts.append(
            {
                "name": "unread",
                "part": [
                    {"name": "field", "valueString": unread.field},
                    {"name": "times", "valueInteger": unread.times},
                    {"name": "example", "valueString": unread.example},
                ],
            }
        )
    parts += [{"name": "kept", "valueString": line} for line in coverage.kept]
    for missed in dict.fromkeys(result.unmapped):
        coding = {
            name: value
            for name, value in (("system", missed.system), ("code", missed.code), ("display", missed.display))
            if value
        }
        parts.append(
            {
                "name": "unmapped",
                "part": [
                    {"name": "domain", "valueString": missed.domain},
                    {"name": "coding", "valueCoding": coding},
                    {"name": "source", "valueString": missed.source or "-"},
                ],
            }
        )
    return [
        {"name": "return", "resource": result.bundle(base=base)},
        {"name": "message", "part": parts},
    ]
