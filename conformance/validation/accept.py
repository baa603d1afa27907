"""The fast yes: is the structure of a resource certainly right? A no means only "ask structure.py"."""

from collections.abc import Iterator
from typing import Any

from conformance.definitions import is_resource
from conformance.validation.schema import WHOLE_NUMBER, schema_of
from terminology.fhirjson import Json

# Compiling a schema takes some 20 ms: worth it for a type that keeps coming, not for one resource of a kind.
COMPILE_AFTER = 20
# Bundles in Bundles in Parameters: deeper than this the explaining check shall look.
_MAX_NESTING = 10


class _WholeNumber:
    """The keyword that tells 1 from 1.0."""

    def __init__(self, *_: Any) -> None: ...

    def validate(self, instance: Any) -> None:
        if type(instance) is not int:
            raise ValueError("not a whole number")


class Acceptor:
    """Schemas by resource type, compiled when a type has come by often enough."""

    def __init__(self, compile_after: int = COMPILE_AFTER) -> None:
        self._compile_after = compile_after
        self._seen: dict[str, int] = {}
        self._validators: dict[str, Any] = {}

    def accepts(self, resource: Any, nesting: int = 0) -> bool:
        """Tell whether the structure is certainly valid."""
        if not isinstance(resource, dict) or nesting > _MAX_NESTING:
            return False
        name = resource.get("resourceType")
        validator = self._validators.get(name) if isinstance(name, str) else None
        if validator is None and isinstance(name, str):
            validator = self._compiled(name)
        if validator is None or not isinstance(name, str):
            return False
        # All are looked at, also after a no: each look brings its type nearer to being compiled.
        inner = (
            [self.accepts(row, nesting + 1) for row in nested(resource, name)]
            if validator.is_valid(resource)
            else [False]
        )
        return all(inner)

    def _compiled(self, name: str) -> Any:
        count = self._seen.get(name, 0) + 1
        if not is_resource(name):
            return None
        self._seen[name] = count
        if count <= self._compile_after:
            return None
        import jsonschema_rs

        self._validators[name] = jsonschema_rs.Draft7Validator(
            schema_of(name), keywords={WHOLE_NUMBER: _WholeNumber}
        )
        return self._validators[name]


def nested(resource: Json, name: str) -> Iterator[Any]:
    """Yield the resources directly inside a resource whose own properties have been found valid."""
    yield from resource.get("contained", ())
    if name == "Bundle":
        for row in resource.get("entry", ()):
            if "resource" in row:
                yield row["resource"]
            if "response" in row and "outcome" in row["response"]:
                yield row["response"]["outcome"]
    elif name == "Parameters":
        open_ = list(resource.get("parameter", ()))
        while open_:
            row = open_.pop()
            if "resource" in row:
                yield row["resource"]
            open_.extend(row.get("part", ()))


_default = Acceptor()


def is_valid_structure(resource: Any) -> bool:
    """Tell whether the structure of a resource is certainly valid; when not, `structure_issues` says why, or accepts it."""
    return _default.accepts(resource)
