"""One domain of local codes: the county's table of it, its maps and its spellings.

Which files make a domain stands in `domains.toml`; where they come from in SOURCES.md.
"""

import csv
import gzip
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parent

_DECORATION = re.compile(r"[\s·•\-_.,、。;:()\[\]*/]+")


@dataclass(frozen=True)
class Domain:
    """The rows of one domain, folded for lookup.

    `codes` and `names`: folded spelling → target code; `abbreviations` count only when the sender gives no name.
    """

    name: str
    system: str
    displays: dict[str, str]
    codes: dict[str, str]
    names: dict[str, str]
    abbreviations: dict[str, str] = field(default_factory=dict)
    systems: dict[str, str] = field(default_factory=dict)
    is_icd: bool = False
    has_local_codes: bool = False
    pad: int = 0
    suffix: str = ""
    otherwise: str | None = None

    def by_code(self, code: str) -> str | None:
        """Return the target code for a code as senders write it, or None."""
        folded = fold_icd(code) if self.is_icd else fold_code(code)
        for form in self._forms(folded):
            if form in self.codes:
                return self.codes[form]
        return None

    def by_name(self, name: str) -> str | None:
        folded = fold_name(name)
        return self.names.get(folded) or (self.names.get(folded + self.suffix) if self.suffix else None)

    def _forms(self, folded: str) -> Iterator[str]:
        yield folded
        if self.pad and folded.isdigit():
            yield folded.zfill(self.pad)
            yield folded.lstrip("0")
        if self.is_icd:
            # The national extension writes a WHO code with six positions: I10 → I10.x00, I63.9 → I63.900.
            if re.fullmatch(r"[A-Z]\d\d", folded):
                yield f"{folded}.x00"
            elif re.fullmatch(r"[A-Z]\d\d\.[\dx]", folded):
                yield f"{folded}00"


def fold_code(code: str) -> str:
    """Full-width to half-width, no blanks, upper case."""
    return unicodedata.normalize("NFKC", code).strip().upper()


def fold_icd(code: str) -> str:
    """Fold an ICD-10 or ICD-9-CM-3 code: upper-case letters, but the filler `x` small, no trailing point."""
    folded = re.sub(r"\s+", "", unicodedata.normalize("NFKC", code)).upper().rstrip(".")
    # DRG tools upper-case the filler (I10.X00); only after the point is it a filler and not a chapter letter.
    return re.sub(r"(?<=[.\d])X", "x", folded)


def fold_name(name: str) -> str:
    """Fold a name for equality: width, case, blanks and punctuation do not count."""
    return _DECORATION.sub("", unicodedata.normalize("NFKC", name).casefold())


def domain_names() -> tuple[str, ...]:
    return tuple(_definitions())


@cache
def load_domain(name: str) -> Domain:
    """Return a domain, built at its first use; KeyError when `domains.toml` has none of that name."""
    definition = _definitions()[name]
    displays, names = _target_rows(definition)
    codes = {_fold(definition, code): code for code in displays}
    systems: dict[str, str] = definition.get("systems", {})
    for source, target, display in _map_rows(definition):
        displays.setdefault(target, display)
        codes[_fold(definition, source)] = target
        names.setdefault(fold_name(source), target)
    abbreviations: dict[str, str] = {}
    for alias, target, is_name in _alias_rows(definition):
        if is_name:
            names[fold_name(alias)] = target
            codes.setdefault(_fold(definition, alias), target)
        else:
            abbreviations[fold_code(alias)] = target
    return Domain(
        name=name,
        system=definition["system"],
        displays=displays,
        codes=codes,
        names=names,
        abbreviations=abbreviations,
        systems=systems,
        is_icd=definition.get("code_style") == "icd",
        has_local_codes=definition.get("local_codes", False),
        pad=definition.get("pad", 0),
        suffix=definition.get("suffix", ""),
        otherwise=definition.get("otherwise"),
    )


def _target_rows(definition: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return code → display, and folded name → code for the names that mean one code only."""
    if "file" not in definition:
        return {}, {}
    code_column, display_column = definition.get("code", "code"), definition.get("display", "display")
    name_columns = [display_column, *definition.get("extra_names", [])]
    shortest = definition.get("shortest_code", 0)
    displays: dict[str, str] = {}
    holders: dict[str, set[str]] = {}
    for row in _rows(definition["file"], definition.get("where")):
        code = row[code_column]
        if not code or len(code) < shortest:
            continue
        displays.setdefault(code, row[display_column])
        for column in name_columns:
            holders.setdefault(fold_name(row[column]), set()).add(code)
    digits = definition.get("item_digits", 0)
    names: dict[str, str] = {}
    for name, codes in holders.items():
        if len(codes) == 1:
            names[name] = next(iter(codes))
        elif digits and len({code[:digits] for code in codes}) == 1:
            # The rows differ by method only, which the sender did not tell: the item without a method.
            first = min(codes)
            names[name] = first[:digits]
            displays.setdefault(first[:digits], displays[first])
    names.pop("", None)
    return displays, names


def _map_rows(definition: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for table in definition.get("maps", ()):
        display = table.get("display")
        for row in _rows(table["file"]):
            yield row[table["source"]], row[table["target"]], row[display] if display else ""


def _alias_rows(definition: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    if "aliases" not in definition:
        return
    for row in _rows(definition["aliases"]):
        if "kind" in row:
            yield row["alias"], row["loinc"], row["kind"] == "name"
        else:
            yield row["source"], row["target"], True


def _fold(definition: dict[str, Any], code: str) -> str:
    return fold_icd(code) if definition.get("code_style") == "icd" else fold_code(code)


@cache
def _definitions() -> dict[str, dict[str, Any]]:
    with (TABLES / "domains.toml").open("rb") as file:
        return tomllib.load(file)


def _rows(file: str, where: list[str] | None = None) -> Iterator[dict[str, str]]:
    raw = (TABLES / file).read_bytes()
    text = (gzip.decompress(raw) if file.endswith(".gz") else raw).decode("utf-8-sig")
    for row in csv.DictReader(StringIO(text)):
        if where is None or row[where[0]] == where[1]:
            yield row
