"""What is known of an expression's result before it runs: which types, whether several, whether in order."""

from dataclasses import dataclass, replace

from conformance.fhirpath.model import Type, system_type


@dataclass(frozen=True)
class Shape:
    """`types` None: unknown; an empty set: certainly empty. `is_many` False: at most one item; `least`: so many for sure."""

    types: frozenset[Type] | None
    is_many: bool = False
    is_ordered: bool = True
    least: int = 0

    def with_many(self, is_many: bool) -> "Shape":
        return self if self.is_many == is_many else replace(self, is_many=is_many)

    def __or__(self, other: "Shape") -> "Shape":
        types = None if self.types is None or other.types is None else self.types | other.types
        return Shape(types, is_many=True, is_ordered=self.is_ordered and other.is_ordered)

    @property
    def only(self) -> Type | None:
        """The one possible type, None when there are several or none is known."""
        if self.types is None or len(self.types) != 1:
            return None
        (found,) = self.types
        return None if found.is_any else found

    @property
    def names(self) -> str:
        return ", ".join(sorted(row.label for row in self.types or ()))


UNKNOWN = Shape(None, is_many=True)
NOTHING = Shape(frozenset())


def system(name: str, *, is_many: bool = False) -> Shape:
    return Shape(frozenset({system_type(name)}), is_many=is_many)


BOOLEAN = system("Boolean")
STRING = system("String")
INTEGER = system("Integer")
DECIMAL = system("Decimal")
