"""Problems of a map, placed by file and line."""

from typing import Any

from terminology.issues import Issue


def problem(code: str, place: object, /, **values: Any) -> Issue:
    """Return an error of a map file; `place` prints as "file.yaml:31" and becomes the issue's source."""
    return Issue(code, {"place": str(place), **values}, source=str(place))
