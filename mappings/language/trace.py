"""The traced run of a preview: which map line and which fields every value came from."""

from collections.abc import Callable, Sequence
from typing import Any

from mappings.language.converters import Context
from mappings.language.emit import Generated
from mappings.language.result import Entry, Leaf
from mappings.language.runtime import Binder
from mappings.language.yaml_tree import Place


class TracingBinder(Binder):
    """The same for previews: every element set is noted with its map line and the fields read for it."""

    is_remembering = False

    def __init__(self, generated: Generated, *arguments: Any) -> None:
        super().__init__(generated, *arguments)
        self.places = generated.places
        self.log: list[str] = self.fields.log
        self.marks: dict[tuple[int, str | int], tuple[Place, tuple[str, ...]]] = {}
        self.keys: dict[str, tuple[Place, tuple[str, ...]]] = {}
        self.removed: list[str] = []
        self.owner: Any = None
        # Keeps every marked container alive, so that no id() is used twice.
        self.held: list[Any] = []

    def site(self, number: int) -> Callable[[Any, Context], Any]:
        call = super().site(number)

        def told(value: Any, context: Context) -> Any:
            return call(self.fields.plain(value), context)

        return told

    def start(self) -> None:
        self.log.clear()
        if hasattr(self.fields, "nulls"):
            self.fields.nulls = 0

    def _sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(label for label in self.log if label))

    def mark(self, owner: Any, key: str | int, place: int) -> None:
        self.held.append(owner)
        self.marks[id(owner), key] = (self.places[place], self._sources())

    def mark_items(self, items: list[Any], place: int) -> None:
        """Mark the items appended since the last mark of this list."""
        for number in range(len(items) - 1, -1, -1):
            if (id(items), number) in self.marks:
                break
            self.mark(items, number, place)

    def made(self, reference: dict[str, str], place: int) -> None:
        self.keys[reference["reference"]] = (self.places[place], self._sources())

    def begin(self, resource: dict[str, Any], reference: dict[str, str], place: int) -> None:
        self.start()
        self.removed = []
        self.owner = resource
        self.mark(resource, "resourceType", place)
        self.marks[id(resource), "id"] = self.keys[reference["reference"]]

    def told(self, reference: dict[str, str] | None) -> dict[str, str] | None:
        if reference is not None:
            self.log.extend(self.keys[reference["reference"]][1])
        return reference

    def told_all(self, references: list[dict[str, str]]) -> list[dict[str, str]]:
        for reference in references:
            self.told(reference)
        return references

    def missing(self, owner: Any, name: str) -> None:
        """Note an element that is empty because the sender deletes it (HL7 null)."""
        if owner is self.owner and getattr(self.fields, "nulls", False):
            self.removed.append(name)

    def cleared(self, context: Context) -> tuple[str, ...]:
        return tuple(self.removed)

    def leaves(self, entries: Sequence[Entry]) -> list[Leaf]:
        """Return every value of the entries with its line and fields."""
        found: list[Leaf] = []
        nowhere = (Place("?", 0), ())

        def walk(value: Any, path: str, number: int, origin: tuple[Place, tuple[str, ...]]) -> None:
            if isinstance(value, dict):
                for key, part in value.items():
                    walk(part, f"{path}.{key}", number, self.marks.get((id(value), key), origin))
            elif isinstance(value, list):
                for index, part in enumerate(value):
                    own = self.marks.get((id(value), index), origin)
                    walk(part, f"{path}[{index}]", number, own)
            else:
                found.append(Leaf(number, path, str(origin[0]), origin[1]))

        for number, entry in enumerate(entries):
            walk(entry.resource, entry.type, number, nowhere)
        return found
