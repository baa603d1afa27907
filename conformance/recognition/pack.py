"""Packs of rules data: item lists, switches, regions and reasons, each with source and effective date.

A pack is a folder with `pack.yaml` and `items.csv`; of packs with the same id the newest in force counts, and a county's
pack overrides the built-in one item by item.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from terminology.fhirjson import Json
from terminology.issues import InvalidInput

BUILT_IN = Path(__file__).parent / "packs"
CHINA = timezone(timedelta(hours=8))
"""Days of recognition are calendar days in +08:00, whatever zone an instant was written in."""

BASES = frozenset({"", "collection", "report"})


@dataclass(frozen=True, slots=True)
class Item:
    """A row of `items.csv`. `validity_days` None: the list does not say. `members`: codes of a panel."""

    system: str
    code: str
    display: str
    scope: str = ""
    validity_days: int | None = None
    base: str = ""
    is_volatile: bool = False
    is_qualified_only: bool = False
    is_method_sensitive: bool = False
    min_images: int | None = None
    price: Decimal | None = None
    source: str = ""
    unit: str = ""
    method: str = ""
    specimen: str = ""
    members: tuple[tuple[str, str], ...] = ()

    @property
    def coding(self) -> Json:
        return {"system": self.system, "code": self.code} | (
            {"display": self.display} if self.display else {}
        )


@dataclass(frozen=True, slots=True)
class Pack:
    """One version of one pack, in force from `effective` on (a day in +08:00)."""

    id: str
    version: str
    effective: date
    source: str
    regions: Mapping[str, tuple[str, ...]]
    switches: Mapping[str, Any]
    reasons: Mapping[str, Mapping[str, Any]]
    items: Mapping[tuple[str, str], Item]
    is_built_in: bool = False

    @property
    def name(self) -> str:
        return f"{self.id}|{self.version}"


@dataclass(frozen=True, slots=True)
class Packs:
    """The packs in force at one moment, the overriding ones first."""

    packs: Sequence[Pack]

    def item(self, codings: Iterable[Json]) -> tuple[Item, Pack] | None:
        """Return the first listed item among codings, and the pack that lists it."""
        keys = [(coding.get("system", ""), coding.get("code", "")) for coding in codings]
        return next(
            ((pack.items[key], pack) for pack in self.packs for key in keys if key in pack.items), None
        )

    def switch(self, name: str) -> Any:
        return next((pack.switches[name] for pack in self.packs if name in pack.switches), None)

    def reason(self, code: str) -> Mapping[str, Any] | None:
        return next((pack.reasons[code] for pack in self.packs if code in pack.reasons), None)

    def reasons(self) -> dict[str, Mapping[str, Any]]:
        merged: dict[str, Mapping[str, Any]] = {}
        for pack in reversed(self.packs):
            merged |= pack.reasons
        return merged

    def same_region(self, first: str, second: str) -> bool:
        """Return whether two provinces lie in one named region."""
        return any(
            first in provinces and second in provinces
            for pack in self.packs
            for provinces in pack.regions.values()
        )

    def names(self) -> list[str]:
        return [pack.name for pack in self.packs]


@dataclass(frozen=True, slots=True)
class PackLibrary:
    """All versions of all packs that are installed."""

    packs: tuple[Pack, ...] = field(default_factory=tuple)

    def at(self, moment: datetime) -> Packs:
        """Return the packs in force: of each id the newest with effective ≤ the day of `moment` in +08:00."""
        day = moment.astimezone(CHINA).date()
        newest: dict[str, Pack] = {}
        for pack in sorted(self.packs, key=lambda pack: (pack.effective, _version_key(pack.version))):
            if pack.effective <= day:
                newest[pack.id] = pack
        return Packs(tuple(sorted(newest.values(), key=lambda pack: (pack.is_built_in, pack.id))))


def _version_key(version: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.\-_]", version))


def load_packs(folder: Path | None = None) -> PackLibrary:
    """Return the built-in packs and those in `folder` (one pack itself, or a folder of packs).

    Raises InvalidInput HT-MR-01 … 03 naming file, line and field of what is wrong.
    """
    packs = list(_built_in())
    if folder is not None:
        places = (
            [folder]
            if (folder / "pack.yaml").exists()
            else sorted(path.parent for path in folder.glob("*/pack.yaml"))
        )
        if not places:
            raise InvalidInput("HT-MR-01", folder=folder.name)
        packs += [
            read_pack(
                (place / "pack.yaml").read_bytes(),
                (place / "items.csv").read_bytes() if (place / "items.csv").exists() else b"",
                name=place.name,
            )
            for place in places
        ]
    return PackLibrary(tuple(packs))


@cache
def _built_in() -> tuple[Pack, ...]:
    return tuple(
        read_pack(
            (place / "pack.yaml").read_bytes(),
            (place / "items.csv").read_bytes(),
            name=place.name,
            is_built_in=True,
        )
        for place in sorted(BUILT_IN.iterdir())
    )


def read_pack(head: bytes, items: bytes, *, name: str, is_built_in: bool = False) -> Pack:
    """Return a pack from its two files."""
    try:
        value = yaml.load(head, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe loaders
        effective = value["effective"]
        day = effective if isinstance(effective, date) else date.fromisoformat(str(effective))
        identity = str(value["id"]), str(value["version"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput("HT-MR-02", pack=name, reason=str(error)) from None
    switches = value.get("switches") or {}
    if switches.get("validity_base", "collection") not in ("collection", "report"):
        raise InvalidInput("HT-MR-02", pack=name, reason=f"validity_base: {switches['validity_base']}")
    return Pack(
        *identity,
        effective=day,
        source=str(value.get("source", "")),
        regions={region: tuple(provinces) for region, provinces in (value.get("regions") or {}).items()},
        switches=switches,
        reasons={str(code): row for code, row in (value.get("reasons") or {}).items()},
        items={(item.system, item.code): item for item in _items(items, name)},
        is_built_in=is_built_in,
    )


def _items(content: bytes, pack: str) -> Iterable[Item]:
    reader = csv.DictReader(
        line for line in io.StringIO(content.decode("utf-8-sig")) if not line.startswith("#")
    )
    for number, row in enumerate(reader, 2):
        try:
            yield _item({name: (value or "").strip() for name, value in row.items() if name})
        except (ValueError, KeyError, InvalidOperation) as error:
            raise InvalidInput("HT-MR-03", pack=pack, line=number, reason=str(error)) from None


def _item(row: dict[str, str]) -> Item:
    if not row["system"] or not row["code"]:
        raise ValueError("system and code are required")
    if row.get("base", "") not in BASES:
        raise ValueError(f"base: {row['base']}")
    members = []
    for member in re.split(r"[;,\s]+", row.get("bundle_of", "")):
        system, bar, code = member.rpartition("|")
        if code:
            members.append((system if bar else row["system"], code))
    return Item(
        system=row["system"],
        code=row["code"],
        display=row.get("display", ""),
        scope=row.get("scope", ""),
        validity_days=int(row["validity_days"]) if row.get("validity_days") else None,
        base=row.get("base", ""),
        is_volatile=_flag(row.get("volatile", "")),
        is_qualified_only=_flag(row.get("qualified_only", "")),
        is_method_sensitive=_flag(row.get("method_sensitive", "")),
        min_images=int(row["min_images"]) if row.get("min_images") else None,
        price=Decimal(row["price"]) if row.get("price") else None,
        source=row.get("source", ""),
        unit=row.get("unit", ""),
        method=row.get("method", ""),
        specimen=row.get("specimen", ""),
        members=tuple(members),
    )


def _flag(text: str) -> bool:
    if text.lower() not in ("", "true", "false"):
        raise ValueError(f"true or false expected, not {text}")
    return text.lower() == "true"
