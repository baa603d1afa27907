"""Language tags and lists of preferred languages (BCP 47, RFC 9110 §12.5.4)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Depth = Literal["full", "region", "language"]

# RFC 5646 §2.1, without grandfathered tags and the longer primary subtags that nobody registered: language, extlang, script, region, variants, extension or private use.
_TAG = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(?P<extlang>(?:-[A-Za-z]{3}(?![A-Za-z0-9])){0,3})"
    r"(?:-(?P<script>[A-Za-z]{4}))?(?:-(?P<region>[A-Za-z]{2}|\d{3}))?"
    r"(?P<variant>(?:-(?:[A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}))*)(?P<extension>(?:-[A-Za-z0-9]-.+)?)"
)

# ISO 639-1: a two-letter tag that is none of these is a slip (a country code, most often).
_TWO_LETTERS = frozenset(
    re.findall(
        "..",
        "aaabaeafakamanarasavayazbabebgbhbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffi"
        "fjfofrfygagdglgngugvhahehihohrhthuhyhziaidieigiiikinioisitiuiwjajijvjwkakgkikjkkklkmknkokr"
        "kskukvkwkylalblglilnloltlulvmgmhmimkmlmnmomrmsmtmynanbndnengnlnnnonrnvnyocojomorospapiplps"
        "ptqurmrnrorurwsascsdsesgshsiskslsmsnsosqsrssstsusvswtatetgthtitktltntotrtstttwtyugukuruzve"
        "vivowawoxhyiyozazhzu",
    )
)


@dataclass(frozen=True)
class Language:
    """One tag with its weight; `*` stands for any language."""

    tag: str
    language: str
    script: str = ""
    region: str = ""
    rest: str = ""
    weight: float = 1.0
    is_implied: bool = False

    def matches(self, other: "Language", depth: Depth = "language") -> bool:
        """Say whether `other` is this language, compared to a depth."""
        if self.language == "*":
            return True
        if self.language != other.language:
            return False
        if depth == "language":
            return True
        same_region = (self.script, self.region) == (other.script, other.region)
        return same_region and (depth == "region" or self.rest == other.rest)


class InvalidLanguage(ValueError):
    """A text that is no language tag."""


@lru_cache(maxsize=4096)
def parse_tag(tag: str) -> Language:
    """Return the parts of a tag; raises InvalidLanguage."""
    if tag == "*":
        return Language("*", "*")
    match = _TAG.fullmatch(tag)
    if match is None:
        raise InvalidLanguage(tag)
    language = match["language"].lower()
    if len(language) == 2 and language not in _TWO_LETTERS:
        raise InvalidLanguage(tag)
    rest = (match["extlang"] + match["variant"] + match["extension"]).lower()
    return Language(tag, language, (match["script"] or "").title(), (match["region"] or "").upper(), rest)


def known(tag: str | None) -> Language | None:
    """Return the parts of a tag, None when there is none or it is none."""
    if not tag:
        return None
    try:
        return parse_tag(tag)
    except InvalidLanguage:
        return None


@dataclass(frozen=True)
class Languages:
    """Preferred languages, best first."""

    entries: tuple[Language, ...]

    def __iter__(self) -> Iterator[Language]:
        return iter(self.entries)

    def as_parameter(self) -> str:
        """Write them as a displayLanguage parameter takes them: "en,it", or with weights as in a header: "en, it; q=0.8"."""
        shown = [entry for entry in self.entries if not entry.is_implied]
        if all(entry.weight == 1 for entry in shown):
            return ",".join(entry.tag for entry in shown)
        return ", ".join(_weighted(entry) for entry in shown)

    def as_text(self) -> str:
        """Write them for people, without the wildcard: "en, it; q=0.8"."""
        shown = (entry for entry in self.entries if not entry.is_implied and entry.tag != "*")
        return ", ".join(_weighted(entry) for entry in shown)

    def match(self, stated: Language | None, default: Language | None = None) -> bool:
        """Say whether a text of a stated language is wanted; one without a language always is."""
        if stated is None or (default is not None and stated.language == default.language):
            return True
        return any(entry.weight > 0 and entry.matches(stated) for entry in self.entries)


def _weighted(entry: Language) -> str:
    return entry.tag if entry.weight == 1 else f"{entry.tag}; q={entry.weight:g}"


def parse_header(text: str, *, with_rest: bool) -> Languages:
    """Return the languages of an Accept-Language header or a displayLanguage parameter.

    `with_rest`: any other language is welcome after the named ones, as long as `*` isn't given (so that an expansion
    has displays at all). Raises InvalidLanguage.
    """
    entries = []
    for part in text.split(","):
        tag, _, quality = part.strip().partition(";")
        parsed = parse_tag(tag.strip())
        entries.append(Language(**{**parsed.__dict__, "weight": _weight(quality)}))
    if with_rest and not any(entry.tag == "*" for entry in entries):
        entries.append(Language("*", "*", weight=0.01, is_implied=True))
    return Languages(tuple(sorted(entries, key=lambda entry: -entry.weight)))


def _weight(quality: str) -> float:
    _, _, number = quality.partition("=")
    try:
        return float(number) if number.strip() else 1.0
    except ValueError:
        return 1.0
