"""JSON Patch (RFC 6902) over JSON Pointer (RFC 6901): a pure function on a resource tree."""

import copy
from typing import Any

from terminology.fhirjson import Json
from terminology.issues import InvalidInput, InvalidResource

OPERATIONS = {"add", "remove", "replace", "move", "copy", "test"}
MOST = 1000


def apply_json_patch(resource: Json, patch: Any) -> Json:
    """Return a changed copy of `resource`; all operations apply or none does (RFC 6902 §5).

    Raises InvalidInput for a malformed patch or a path that isn't there, InvalidResource when a `test` fails.
    """
    if not isinstance(patch, list):
        raise InvalidInput("HT-REST-70")
    if len(patch) > MOST:
        raise InvalidInput("HT-REST-71", limit=MOST)
    document: Any = copy.deepcopy(resource)
    for number, operation in enumerate(patch):
        document = _apply(document, operation, f"[{number}]")
    if not isinstance(document, dict):
        raise InvalidInput("HT-REST-76", path="")
    return drop_empty(document)


def drop_empty(node: Json) -> Json:
    """Return the tree without the empty arrays and objects that a removal left (json.html: there are none in FHIR)."""
    return {
        key: value
        for key, value in ((key, _dropped(value)) for key, value in node.items())
        if value not in ({}, [])
    }


def _dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return drop_empty(value)
    if isinstance(value, list):
        rows = [_dropped(item) for item in value]
        return [row for row in rows if row not in ({}, [])]
    return value


def _apply(document: Any, operation: Any, place: str) -> Any:
    kind = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(kind, str) or kind not in OPERATIONS:
        name = str(operation.get("op"))[:40] if isinstance(operation, dict) else "?"
        raise InvalidInput("HT-REST-72", op=name, expression=place)
    path = _pointer(operation, "path", place)
    if kind in ("add", "replace", "test") and "value" not in operation:
        raise InvalidInput("HT-REST-73", op=kind, name="value", expression=place)
    if kind == "add":
        return _add(document, path, copy.deepcopy(operation["value"]), place)
    if kind == "remove":
        return _remove(document, path, place)[0]
    if kind == "replace":
        if not path:
            return copy.deepcopy(operation["value"])
        parent, key = _parent(document, path, place)
        parent[key] = copy.deepcopy(operation["value"])
        return document
    if kind == "test":
        if not _equal(_get(document, path, place), operation["value"]):
            raise InvalidResource("HT-REST-75", path=operation["path"][:200], expression=place)
        return document
    source = _pointer(operation, "from", place)
    if kind == "copy":
        return _add(document, path, copy.deepcopy(_get(document, source, place)), place)
    # RFC 6902 §4.4: a location cannot be moved into one of its children.
    if path[: len(source)] == source and path != source:
        raise InvalidInput("HT-REST-76", path=operation["path"][:200], expression=place)
    document, moved = _remove(document, source, place)
    return _add(document, path, moved, place)


def _pointer(operation: Json, name: str, place: str) -> list[str]:
    text = operation.get(name)
    if not isinstance(text, str):
        raise InvalidInput("HT-REST-73", op=operation["op"], name=name, expression=place)
    if text and not text.startswith("/"):
        raise InvalidInput("HT-REST-74", path=text[:200], expression=place)
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _get(document: Any, path: list[str], place: str) -> Any:
    for depth, part in enumerate(path):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and _index(part, len(document) - 1) is not None:
            document = document[int(part)]
        else:
            raise _missing(path[: depth + 1], place)
    return document


def _parent(document: Any, path: list[str], place: str) -> tuple[Any, Any]:
    """Return container and key of an existing location."""
    parent = _get(document, path[:-1], place)
    _get(parent, path[-1:], place)
    return parent, int(path[-1]) if isinstance(parent, list) else path[-1]


def _add(document: Any, path: list[str], value: Any, place: str) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1], place)
    last = path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        index = len(parent) if last == "-" else _index(last, len(parent))
        if index is None:
            raise _missing(path, place)
        parent.insert(index, value)
    else:
        raise _missing(path, place)
    return document


def _remove(document: Any, path: list[str], place: str) -> tuple[Any, Any]:
    if not path:
        raise InvalidInput("HT-REST-76", path="", expression=place)
    parent, key = _parent(document, path, place)
    return document, parent.pop(key)


def _index(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdigit()) or (len(text) > 1 and text[0] == "0") or len(text) > 9:
        return None
    return int(text) if int(text) <= most else None


def _equal(left: Any, right: Any) -> bool:
    """RFC 6902 §4.6: numbers are equal by value, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _missing(path: list[str], place: str) -> InvalidInput:
    return InvalidInput("HT-REST-77", path=("/" + "/".join(path))[:200], expression=place)
