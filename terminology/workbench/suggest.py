"""Suggestions for one local code: which targets, how sure, and why.

Order of trust: an alias approved before, equality of code or normalised name, for drugs the equality of parsed parts,
and only then likeness. A strength, form, side or type that contradicts vetoes: such a target is listed last with its
reason and can never be accepted in bulk. Nothing is ever accepted by itself (docs/terminology/mapping.md).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from terminology.workbench import drug_name
from terminology.workbench.candidates import Candidates
from terminology.workbench.likeness import likeness, normalise
from terminology.workbench.signs import clashes, gaps

DRUG_DOMAINS = frozenset({"drug"})
CONSIDERED = 40
"""Candidates that are compared in full; in the diagnoses bench the right one is almost never further down."""


@dataclass(frozen=True, slots=True)
class Target:
    """A code of the catalogue with all its names; `strength` is the column 规格 of a drug."""

    code: str
    display: str
    names: tuple[str, ...] = ()
    strength: str = ""


@dataclass(frozen=True, slots=True)
class Local:
    """A row of a member's table."""

    code: str
    name: str
    strength: str = ""
    maker: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`confidence` 0…1; `relationship` as ConceptMap.equivalence; `reasons` and `vetoes` are stable words
    ("alias", "same-code", "national-map", "same-name", "generic", "form", "strength", "likeness", "side" …)."""

    target: Target
    confidence: float
    relationship: str
    reasons: tuple[str, ...]
    vetoes: tuple[str, ...] = ()

    @property
    def may_be_bulk_accepted(self) -> bool:
        return not self.vetoes


@dataclass(frozen=True, slots=True)
class _Score:
    value: float
    relationship: str = "relatedto"
    reasons: tuple[str, ...] = ()
    vetoes: tuple[str, ...] = field(default=())


class Suggester:
    """Suggestions for the codes of one domain ("diagnosis", "drug", "lab-item", "exam-item", "procedure")."""

    def __init__(
        self,
        domain: str,
        targets: Sequence[Target],
        approved: Iterable[tuple[Local, str]] = (),
        *,
        national: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`approved`: (local row, target code) pairs of earlier, approved mappings of any member. `national`: the target
        that a published map gives a hospital's code, such as 国临版 → 医保版 ICD-10."""
        self.domain = domain
        self._national = national
        self._targets = targets
        self._is_drug = domain in DRUG_DOMAINS
        self._by_code = {target.code: number for number, target in enumerate(targets)}
        self._by_name: dict[str, list[int]] = {}
        for number, target in enumerate(targets):
            for name in dict.fromkeys((target.display, *target.names)):
                self._by_name.setdefault(normalise(name), []).append(number)
        self._candidates = Candidates(
            (number, self._stem(name, target.strength))
            for number, target in enumerate(targets)
            for name in (target.display, *target.names)
        )
        self._aliases: dict[str, dict[int, int]] = {}
        pairs = []
        for local, code in approved:
            known = self._by_code.get(code)
            if known is not None:
                held = self._aliases.setdefault(self._alias(local), {})
                held[known] = held.get(known, 0) + 1
                target = targets[known]
                pairs.append(
                    (self._stem(local.name, local.strength), self._stem(target.display, target.strength))
                )
        self._candidates.learn(pairs)

    def suggest(self, local: Local, limit: int = 5) -> list[Suggestion]:
        """Return up to `limit` suggestions, the likeliest first, vetoed ones after all others."""
        numbers = dict.fromkeys(self._aliases.get(self._alias(local), ()))
        numbers |= dict.fromkeys(self._by_name.get(normalise(local.name), ()))
        for code in (local.code, self._national(local.code)):
            if code in self._by_code:
                numbers[self._by_code[code]] = None
        found = dict(self._candidates.find(self._stem(local.name, local.strength), CONSIDERED))
        best = max(found.values(), default=1.0)
        suggestions = []
        for number in dict.fromkeys((*numbers, *found)):
            score = self._score(local, number, found.get(number, 0.0) / best)
            suggestions.append(
                Suggestion(
                    self._targets[number],
                    round(score.value, 3),
                    score.relationship,
                    score.reasons,
                    score.vetoes,
                )
            )
        suggestions.sort(key=lambda row: (bool(row.vetoes), -row.confidence, row.target.code))
        return suggestions[:limit]

    def _score(self, local: Local, number: int, found: float) -> _Score:
        target = self._targets[number]
        times = self._aliases.get(self._alias(local), {}).get(number)
        if times and not self._vetoes(local, target):
            return _Score(0.99, "equivalent", ("alias",))
        score = (
            self._drug_score(local, target, found)
            if self._is_drug
            else self._name_score(local, target, found)
        )
        if local.code == target.code and not score.vetoes and score.value >= 0.4:
            return _Score(max(score.value, 0.97), "equivalent", ("same-code", *score.reasons))
        if self._national(local.code) == target.code and not score.vetoes and score.value >= 0.4:
            return _Score(max(score.value, 0.96), "equivalent", ("national-map", *score.reasons))
        return score

    def _vetoes(self, local: Local, target: Target) -> tuple[str, ...]:
        if self._is_drug:
            return self._drug_score(local, target, 0.0).vetoes
        return tuple(clashes(local.name, target.display))

    def _name_score(self, local: Local, target: Target, found: float) -> _Score:
        own = normalise(local.name)
        best = max((likeness(own, normalise(name)) for name in (target.display, *target.names)), default=0.0)
        if best == 1.0:
            return _Score(0.98, "equivalent", ("same-name",))
        vetoes = tuple(clashes(local.name, target.display))
        value = 0.62 * best + 0.30 * found - 0.06 * gaps(local.name, target.display)
        value = max(0.0, min(0.95, value)) * (0.5 if vetoes else 1.0)
        named = normalise(target.display)
        relationship = "wider" if named in own else "narrower" if own in named else "relatedto"
        return _Score(value, "equivalent" if value >= 0.85 else relationship, ("likeness",), vetoes)

    def _drug_score(self, local: Local, target: Target, found: float) -> _Score:
        """Generic name, form and strength decide; shared characters only order what they leave open."""
        mine = drug_name.parse(local.name, local.strength)
        options = [drug_name.parse(name, target.strength) for name in (target.display, *target.names)]
        return max(
            (_drug_parts(mine, other, found) for other in options),
            key=lambda score: (not score.vetoes, score.value),
        )

    def _alias(self, local: Local) -> str:
        return normalise(f"{local.name} {local.strength}")

    def _stem(self, name: str, strength: str) -> str:
        """What candidates are found by: for drugs the generic name and form, not pack and maker."""
        if not self._is_drug:
            return name
        parsed = drug_name.parse(name, strength)
        return f"{parsed.salt}{parsed.generic}{parsed.form}{parsed.variant}" or name


def _drug_parts(mine: drug_name.DrugName, other: drug_name.DrugName, found: float) -> _Score:
    form, strength = mine.form_agrees(other), mine.strength_agrees(other)
    vetoes = tuple(word for word, verdict in (("form", form), ("strength", strength)) if verdict == "clash")
    if mine.variant and other.variant and mine.variant != other.variant:
        vetoes += ("variant",)
    same = mine.generic == other.generic
    resemblance = 1.0 if same else likeness(mine.generic, other.generic)
    if not same and resemblance < 0.6:
        return _Score(0.3 * resemblance, "relatedto", ("likeness",), vetoes)
    reasons = tuple(
        word
        for word, holds in (
            ("generic", same),
            ("form", form == "equal"),
            ("strength", strength == "equal"),
            ("salt", bool(mine.salt) and mine.salt == other.salt),
        )
        if holds
    )
    value = (
        0.55 * resemblance**2 + (0.2 if form == "equal" else 0.05) + (0.2 if strength == "equal" else 0.05)
    )
    value += 0.03 * (mine.salt == other.salt) + 0.01 * (mine.variant == other.variant) + 0.01 * found
    if mine.pack and other.pack:
        value += 0.005 if mine.pack == other.pack else -0.005
    complete = same and form == "equal" and strength == "equal"
    return _Score(
        value * (0.4 if vetoes else 1.0),
        "equivalent" if complete else "wider" if same else "relatedto",
        reasons or ("likeness",),
        vetoes,
    )
