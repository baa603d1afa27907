"""A search as a value: what is asked, before any store decides how to find it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """Search in one resource type, or in all when `type` is None."""

    type: str | None
