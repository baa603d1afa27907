"""The rows of a ConceptMap by source and by target code, so that a large map answers as fast as a small one."""

from collections import OrderedDict
from collections.abc import Sequence

from terminology.fhirjson import Json

# Maps smaller than this are walked; the indexes of so many large maps are kept.
MIN_INDEXED = 200
MAX_KEPT = 64

_kept: OrderedDict[int, tuple[Json, "ConceptMapIndex"]] = OrderedDict()


class ConceptMapIndex:
    """Elements of each group by code: `elements[group number][code]`, `targets[group number][target code]`."""

    def __init__(self, concept_map: Json) -> None:
        self.elements: list[dict[str, list[Json]]] = []
        self.targets: list[dict[str, list[tuple[Json, Json]]]] = []
        for group in concept_map.get("group") or ():
            elements: dict[str, list[Json]] = {}
            targets: dict[str, list[tuple[Json, Json]]] = {}
            for element in group.get("element") or ():
                elements.setdefault(element.get("code", ""), []).append(element)
                for target in element.get("target") or ():
                    targets.setdefault(target.get("code", ""), []).append((element, target))
            self.elements.append(elements)
            self.targets.append(targets)


def _index(concept_map: Json) -> ConceptMapIndex:
    size = sum(len(group.get("element") or ()) for group in concept_map.get("group") or ())
    if size < MIN_INDEXED:
        return ConceptMapIndex(concept_map)
    # The map itself is kept beside its index, so its id() cannot come to mean another one.
    kept = _kept.get(id(concept_map))
    if kept is None:
        kept = _kept[id(concept_map)] = (concept_map, ConceptMapIndex(concept_map))
        while len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
    return kept[1]


def elements(concept_map: Json, group: int, code: str) -> Sequence[Json]:
    """Return the elements of a group that list a source code."""
    return _index(concept_map).elements[group].get(code, ())


def sources(concept_map: Json, group: int, code: str) -> Sequence[tuple[Json, Json]]:
    """Return the (element, target) pairs of a group that lead to a target code."""
    return _index(concept_map).targets[group].get(code, ())
