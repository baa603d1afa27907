"""Published mappings at work: stored as ConceptMaps, and what messages are translated by."""

from collections.abc import Iterable

from gateway.store.protocol import Commit, Put, Store
from terminology.fhirjson import Json
from terminology.translate import Translator


class PublishedMaps:
    """`translator`: the one that the active maps ask; None when maps bring their own."""

    def __init__(self, store: Store, translator: Translator | None) -> None:
        self._store, self._translator = store, translator

    def take(self, maps: Iterable[tuple[str, Json]]) -> None:
        """Translate by these (domain, ConceptMap): what an earlier run published."""
        if self._translator is not None:
            for domain, concept_map in maps:
                self._translator.add(domain, concept_map)

    async def publish(self, domain: str, concept_map: Json) -> None:
        """Store a ConceptMap under an id of its own version, then translate by it."""
        await self._store.commit(Commit([Put(concept_map, expected=0)]))
        self.take([(domain, concept_map)])
