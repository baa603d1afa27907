"""What a local code is in the county's catalogues: the hook that mappings call for every coded field.

A miss is an answer (None): the caller keeps the sender's coding and puts it on the mapping work list
(docs/design.md, decision 11). ConceptMap/$translate is another thing: see terminology/concept_map.py.
"""

from collections.abc import Iterator

from terminology.fhirjson import Json
from terminology.tables import Domain, load_domain

_LIMIT = 100_000


class Translator:
    """Local code → county item, diagnosis, drug … by domain (`terminology.tables.domain_names()`).

    Tables are read at the first use of their domain; answers are remembered, so a known coding costs one
    dictionary lookup. Maps given with `add` (a member's approved ConceptMaps) win over the shipped tables.
    """

    def __init__(self) -> None:
        self.revision = 0
        """Grows with each `add`: what was remembered of an earlier one is out of date."""
        self._answers: dict[tuple[str, str | None, str | None, str | None], Json | None] = {}
        self._maps: dict[tuple[str, str | None, str], Json] = {}
        self._unnamed: dict[tuple[str, str], dict[str, Json]] = {}
        self._added: dict[tuple[str, str], list[tuple[str | None, str]]] = {}

    def add(self, domain: str, concept_map: Json) -> None:
        """Let a ConceptMap (R4) decide for `domain`: only its equal and equivalent rows, and wider ones.

        It takes the place of an earlier version (the same url). A code that comes without system is translated when
        all maps of the domain that have it agree: two hospitals may number their items alike and differently.
        """
        url = concept_map.get("url", "")
        for system, code in self._added.pop((domain, url), ()):
            self._maps.pop((domain, system, code), None)
            self._unnamed.get((domain, code), {}).pop(url, None)
        added = self._added[domain, url] = []
        for system, code, target in _equivalent_rows(concept_map):
            self._maps[domain, system, code] = target
            self._unnamed.setdefault((domain, code), {})[url] = target
            added.append((system, code))
        self._answers.clear()
        self.revision += 1

    def translate(self, domain: str, coding: Json) -> Json | None:
        """Return the county's Coding for a sender's Coding or part of one (`system`, `code`, `display`).

        None: unmapped. KeyError: no such domain. The answer is a fresh dict without the sender's fields.
        """
        key = (domain, coding.get("system"), coding.get("code"), coding.get("display"))
        try:
            answer = self._answers[key]
        except KeyError:
            if len(self._answers) >= _LIMIT:
                self._answers.clear()
            answer = self._answers[key] = self._find(domain, key[1], key[2], key[3])
        return dict(answer) if answer else None

    def _find(self, name: str, system: str | None, code: str | None, display: str | None) -> Json | None:
        if code is not None:
            mapped = self._maps.get((name, system, code)) or self._maps.get((name, None, code))
            if mapped:
                return mapped
            if system is None and (known := self._unnamed.get((name, code))):
                first, *others = known.values()
                if all(one["code"] == first["code"] for one in others):
                    return first
        domain = load_domain(name)
        target = _target(domain, system, code, display)
        if target is not None:
            found = {"system": domain.systems.get(target, domain.system), "code": target}
            text = domain.displays.get(target)
            return {**found, "display": text} if text else found
        return self._find(domain.otherwise, system, code, display) if domain.otherwise else None


def _target(domain: Domain, system: str | None, code: str | None, display: str | None) -> str | None:
    if system == domain.system:
        return domain.by_code(code) if code else None
    by_name = domain.by_name(display) if display else None
    if not domain.has_local_codes:
        by_code = domain.by_code(code) if code else None
        # A doctor edits the name of a diagnosis, never its code; a HIS numbers sexes as it likes, but names them.
        return (by_code or by_name) if domain.is_icd else (by_name or by_code)
    if by_name or not code:
        return by_name
    if system is None:
        by_code = domain.by_code(code)
        if by_code and (not display or len(code) >= 6):
            return by_code
    # "WBC" may be of blood or of urine: the sender's name would say which, so it counts only alone.
    return None if display else domain.abbreviations.get(code.strip().upper())


def _equivalent_rows(concept_map: Json) -> Iterator[tuple[str | None, str, Json]]:
    for group in concept_map.get("group", ()):
        for element in group.get("element", ()):
            for target in element.get("target", ()):
                if target.get("equivalence") in ("equal", "equivalent", "wider") and "code" in target:
                    coding = {"system": group.get("target"), "code": target["code"]}
                    if "display" in target:
                        coding["display"] = target["display"]
                    if "code" in element:
                        yield group.get("source"), element["code"], coding
                    break
