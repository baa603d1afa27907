"""Is an earlier result's item the ordered one? Equal codes, or ConceptMaps between local, county and national codes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from terminology.fhirjson import Json

Key = tuple[str, str]
Relation = Literal["equal", "equivalent", "wider", "narrower", "inexact", "relatedto"]

# ConceptMap.equivalence reads from target to source: "wider" says that the target means more than the source.
RELATIONS: dict[str, Relation] = {
    "equal": "equal", "equivalent": "equivalent", "wider": "wider", "subsumes": "wider", "narrower": "narrower",
    "specializes": "narrower", "inexact": "inexact", "relatedto": "relatedto",
}  # fmt: skip
INVERSE: dict[str, Relation] = {"wider": "narrower", "narrower": "wider"}
SAME = frozenset({"equal", "equivalent"})


@dataclass(frozen=True, slots=True)
class Match:
    """`is_ambiguous`: a many-to-one map was used backwards, so the item is one of several."""

    relation: Relation
    is_ambiguous: bool = False
    path: str = ""

    @property
    def is_same(self) -> bool:
        return self.relation in SAME and not self.is_ambiguous


class ItemMaps:
    """Look-ups over the ConceptMaps that the county published for items."""

    def __init__(self, concept_maps: Iterable[Json] = ()) -> None:
        self._forward: dict[Key, list[tuple[Key, Relation]]] = {}
        self._backward: dict[Key, list[tuple[Key, Relation]]] = {}
        for concept_map in concept_maps:
            for group in concept_map.get("group") or ():
                for element in group.get("element") or ():
                    for target in element.get("target") or ():
                        relation = RELATIONS.get(target.get("equivalence", "equivalent"))
                        if relation is None or "code" not in target or "code" not in element:
                            continue
                        own, other = (
                            (group.get("source", ""), element["code"]),
                            (group.get("target", ""), target["code"]),
                        )
                        self._forward.setdefault(own, []).append((other, relation))
                        self._backward.setdefault(other, []).append((own, relation))

    def match(self, ordered: Sequence[Json], found: Sequence[Json]) -> Match | None:
        """Return how the codings of a result relate to those ordered; None when it is another item."""
        wanted, held = [_key(coding) for coding in ordered], [_key(coding) for coding in found]
        if set(wanted) & set(held):
            return Match("equal")
        options = [match for own in held for want in wanted if (match := self._step(own, want)) is not None]
        if not options:
            options = [
                match for own in held for want in wanted if (match := self._by_way_of(own, want)) is not None
            ]
        return min(
            options, key=lambda match: (not match.is_same, match.is_ambiguous, match.relation), default=None
        )

    def related(self, ordered: Sequence[Json]) -> list[Key]:
        """Return the codes under which results of an ordered item may be stored, the ordered ones first."""
        keys = dict.fromkeys(_key(coding) for coding in ordered)
        for key in tuple(keys):
            near = [other for other, _ in (*self._forward.get(key, ()), *self._backward.get(key, ()))]
            keys |= dict.fromkeys(near)
            for other in near:
                keys |= dict.fromkeys(
                    own for own, _ in (*self._backward.get(other, ()), *self._forward.get(other, ()))
                )
        return list(keys)

    def _step(self, own: Key, want: Key) -> Match | None:
        for other, relation in self._forward.get(own, ()):
            if other == want:
                return Match(relation, path=f"{own[1]} → {want[1]} ({relation})")
        for source, relation in self._backward.get(own, ()):
            if source == want:
                is_ambiguous = self._has_other_sources(own, want)
                return Match(
                    INVERSE.get(relation, relation), is_ambiguous, f"{want[1]} → {own[1]} ({relation})"
                )
        return None

    def _by_way_of(self, own: Key, want: Key) -> Match | None:
        """Both mapped to one national code: forward from the result, backwards to the order."""
        targets = dict(self._forward.get(own, ()))
        for target, relation in self._forward.get(want, ()):
            if target in targets:
                first, second = targets[target], INVERSE.get(relation, relation)
                both = first if second in SAME else second if first in SAME else "relatedto"
                return Match(
                    both, self._has_other_sources(target, want), f"{own[1]} → {target[1]} ← {want[1]}"
                )
        return None

    def _has_other_sources(self, target: Key, source: Key) -> bool:
        """Whether the map is many-to-one at `target` among the codes of the source's own system."""
        return any(other != source and other[0] == source[0] for other, _ in self._backward.get(target, ()))


def _key(coding: Json) -> Key:
    return coding.get("system") or "", coding.get("code") or ""
