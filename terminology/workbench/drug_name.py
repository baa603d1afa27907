"""Chinese drug names taken apart: generic name, salt, form, strength, pack, maker, approval number.

Local tables write one drug in a dozen ways (「盐酸二甲双胍片0.25g*100片」「二甲双胍片 250mg×100s」). Equality of generic
name, form and strength is a rule, not a similarity; a strength or form that differs vetoes a mapping.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from terminology import hanzi

WORDS = Path(__file__).with_name("drug_words.toml")
MAX_NAME = 300
"""Characters of a name that are read; the longest approved names have about sixty."""

Agreement = Literal["equal", "clash", "unknown"]

MILLIGRAMS = {
    "kg": "1000000",
    "g": "1000",
    "mg": "1",
    "ug": "0.001",
    "mcg": "0.001",
    "ng": "0.000001",
    "克": "1000",
    "毫克": "1",
    "微克": "0.001",
}
MILLILITRES = {"l": "1000", "ml": "1", "毫升": "1", "升": "1000", "cc": "1"}
UNITS = {
    "iu": "1",
    "u": "1",
    "单位": "1",
    "万单位": "10000",
    "万u": "10000",
    "万iu": "10000",
    "miu": "1000000",
}
MOLES = {"mmol": "1", "mol": "1000", "meq": "1"}

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_UNIT = r"(kg|mg|ug|mcg|ng|g|毫克|微克|克|ml|毫升|cc|l|升|万单位|单位|万iu|万u|miu|iu|u|mmol|mol|meq|%)"
_QUANTITY = re.compile(_NUMBER + r"\s*" + _UNIT + r"(?![a-z])")
_PACK = re.compile(r"[*x×]\s*(\d+)\s*(片|粒|袋|支|瓶|丸|s|t|板|盒|揿|喷|吸|贴|枚|包|ml|g)?(?![\d.])")
_PER_PACK = re.compile(r"(\d+)\s*(片|粒|袋|支|丸|s|t|揿|喷|吸|贴|枚|包)\s*/\s*(盒|瓶|板)")
_APPROVAL = re.compile(r"国药准字\s*([hzsbtj]\d{8})")
_BRACKETS = re.compile(r"[(\[【〔<〈《]([^)\]】〕>〉》]*)[)\]】〕>〉》]")
_MARKS = re.compile(r"[\s,，、;；:：。·*×/\-_+]+")


@dataclass(frozen=True, slots=True)
class Strength:
    """Amount (mg, IU or mmol by `kind`) and volume (mL) of one unit of the form; `percent` is g per 100 mL."""

    amount: Decimal | None = None
    kind: str = ""
    volume: Decimal | None = None
    percent: Decimal | None = None

    def concentration(self) -> Decimal | None:
        """Return mg (IU, mmol) per mL."""
        if self.percent is not None:
            return self.percent * 10
        if self.amount is not None and self.volume:
            return self.amount / self.volume
        return None


@dataclass(frozen=True, slots=True)
class DrugName:
    """`generic` has neither salt nor form; `variant` is what stands in brackets and tells products apart (30R, Ⅱ)."""

    text: str
    generic: str
    salt: str = ""
    form: str = ""
    strengths: tuple[Strength, ...] = ()
    pack: int | None = None
    variant: str = ""
    approval: str = ""
    brand: str = ""

    def strength_agrees(self, other: "DrugName") -> Agreement:
        """Compare strengths after unit conversion: 0.25g equals 250mg, 0.9% 100ml equals 100ml:0.9g."""
        if not self.strengths or not other.strengths:
            return "unknown"
        if len(self.strengths) != len(other.strengths):
            return "clash"
        results = [_compare(a, b) for a, b in zip(self.strengths, other.strengths, strict=True)]
        return "clash" if "clash" in results else "unknown" if "unknown" in results else "equal"

    def form_agrees(self, other: "DrugName") -> Agreement:
        if not self.form or not other.form:
            return "unknown"
        return "equal" if self.form == other.form else "clash"


@lru_cache(maxsize=65536)
def parse(text: str, strength: str = "") -> DrugName:
    """Return the parts of a local or catalogue name; `strength` is a separate column when the table has one (规格)."""
    folded = hanzi.fold(f"{text[:MAX_NAME]} {strength[:MAX_NAME]}").replace("μ", "u")
    approval = _APPROVAL.search(folded)
    rest = _APPROVAL.sub(" ", folded)
    pack, rest = _pack(rest)
    strengths, rest = _strengths(rest)
    inside = [part.strip() for part in _BRACKETS.findall(rest) if part.strip()]
    name = _MARKS.sub("", _BRACKETS.sub(" ", rest))
    brand = next(
        (word for word in _words().brands if word in name or any(word in part for part in inside)), ""
    )
    if brand:
        name = name.replace(brand, "")
        inside = [part.replace(brand, "") for part in inside]
    form, stem = _form(name)
    if not stem and brand:
        known = _words().brands[brand]
        brand_form, stem = _form(known)
        form = form or brand_form
    if not form:
        form = next((found for found in (_form(part)[0] for part in inside) if found), "")
    salt, generic = _salt(stem)
    return DrugName(
        text=text,
        generic=generic,
        salt=salt,
        form=form,
        strengths=strengths,
        pack=pack,
        variant=next((part for part in inside if re.fullmatch(r"\d*[ivxrnaml\d]{1,5}|\d+/\d+", part)), ""),
        approval=approval.group(1).upper() if approval else "",
        brand=brand,
    )


def _pack(text: str) -> tuple[int | None, str]:
    """Return the number of units in a pack; `5mg*7片*2板` holds 14."""
    counted = [int(match.group(1)) for match in _PER_PACK.finditer(text)]
    text = _PER_PACK.sub(" ", text)
    counted += [int(match.group(1)) for match in _PACK.finditer(text) if match.group(2) not in ("ml", "g")]
    # `*250ml` is a volume, `*2g` the content of a tube: strengths, not counts.
    text = _PACK.sub(
        lambda match: f" {match.group(1)}{match.group(2)} " if match.group(2) in ("ml", "g") else " ", text
    )
    total = 1
    for number in counted:
        total *= number
    return (total if counted else None), re.sub(r"/\s*(盒|瓶|板|支|袋|片|粒|揿|吸|喷)", " ", text)


def _strengths(text: str) -> tuple[tuple[Strength, ...], str]:
    amounts: list[tuple[Decimal, str]] = []
    volume = percent = None
    for number, unit in _QUANTITY.findall(text):
        value = Decimal(number)
        if unit == "%":
            percent = value
        elif unit in MILLILITRES:
            volume = value * Decimal(MILLILITRES[unit])
        else:
            table, kind = next(
                (table, kind)
                for table, kind in ((MILLIGRAMS, "mg"), (UNITS, "iu"), (MOLES, "mmol"))
                if unit in table
            )
            amounts.append((value * Decimal(table[unit]), kind))
    rest = _QUANTITY.sub(" ", text)
    if not amounts:
        if volume is None and percent is None:
            return (), rest
        return (Strength(volume=volume, percent=percent),), rest
    # Compounds write each part (氨氯地平5mg/缬沙坦80mg); one drug twice written (0.25g(25万单位)) keeps the first kind.
    kind = amounts[0][1]
    own = [amount for amount in amounts if amount[1] == kind]
    return tuple(Strength(value, kind, volume, percent) for value, _ in own), rest


def _compare(a: Strength, b: Strength) -> Agreement:
    if a.amount is not None and b.amount is not None:
        if a.kind != b.kind:
            return "clash"
        if a.volume is not None and b.volume is not None and a.volume != b.volume:
            return "clash"
        return "equal" if a.amount == b.amount else "clash"
    first, second = a.concentration(), b.concentration()
    if first is not None and second is not None and first != second:
        return "clash"
    if a.volume is not None and b.volume is not None and a.volume != b.volume:
        return "clash"
    if first is None and second is None:
        return "equal" if a.volume == b.volume else "unknown"
    # The same concentration in a bag of unknown size is not the same product.
    return "equal" if first == second and a.volume == b.volume else "unknown"


def _form(name: str) -> tuple[str, str]:
    """Return the form class and the name without it; `注射用X` and `X吸入用溶液` carry it in front or around."""
    if name.startswith("注射用"):
        return "注射用粉针", _without_ending(name.removeprefix("注射用"))
    inhaled = name.startswith(("吸入用", "雾化吸入用"))
    if inhaled:
        name = name.partition("吸入用")[2]
        for ending, form in (("混悬液", "吸入混悬液"), ("溶液", "吸入溶液")):
            if name.endswith(ending):
                return form, name.removesuffix(ending)
    for ending, form in _words().forms:
        if name.endswith(ending) and len(name) > len(ending):
            return form, name.removesuffix(ending)
        if name == ending:
            return form, ""
    # 氨氯地平片(进口)基药, 二甲双胍片集采: something follows the form.
    for ending, form in _words().forms:
        if len(ending) > 1 and (at := name.rfind(ending)) > 1:
            return form, name[:at]
    if (
        match := re.search(r"(.{2,}?)(片|丸|针|栓)(?=[^\w]|集采|国采|基药|进口|国产|带量|$)", name)
    ) is not None:
        return dict(_words().forms)[match.group(2)], match.group(1)
    return "", name


def _without_ending(name: str) -> str:
    return next(
        (name.removesuffix(word) for word in ("粉针剂", "粉针", "针剂", "针") if name.endswith(word)), name
    )


def _salt(stem: str) -> tuple[str, str]:
    words = _words()
    if any(stem.startswith(known) for known in words.not_salts):
        return "", stem
    salt = next((word for word in words.salts if stem.startswith(word) and len(stem) > len(word) + 1), "")
    generic = stem.removeprefix(salt)
    ending = next(
        (word for word in words.salt_endings if generic.endswith(word) and len(generic) > len(word) + 1), ""
    )
    return salt or ending, generic.removesuffix(ending)


@dataclass(frozen=True, slots=True)
class _Words:
    salts: tuple[str, ...]
    salt_endings: tuple[str, ...]
    not_salts: tuple[str, ...]
    forms: tuple[tuple[str, str], ...]
    brands: dict[str, str]


@cache
def _words() -> _Words:
    table = tomllib.loads(WORDS.read_text("utf-8"))
    forms = [(hanzi.fold(word), form) for form, words in table["forms"].items() for word in words]
    return _Words(
        salts=_longest_first(table["salts"]),
        salt_endings=_longest_first(table["salt_endings"]),
        not_salts=tuple(table["not_salts"]),
        forms=tuple(sorted(forms, key=lambda row: -len(row[0]))),
        brands={brand: table["brands"][brand] for brand in _longest_first(table["brands"])},
    )


def _longest_first(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words, key=lambda word: (-len(word), word)))
