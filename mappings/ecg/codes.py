"""Codes of leads and measurements, loaded from codes.yaml (ISO/IEEE 11073-10101, DICOM PS3.16, LOINC)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True, slots=True)
class LeadCode:
    """`code` of MDC, as decimal digits."""

    code: str
    display: str


@dataclass(frozen=True, slots=True)
class MeasurementCode:
    """`unit` is UCUM, `shown` what stands on paper, `short` the abbreviation on the strip."""

    zh: str
    en: str
    short: str
    unit: str
    shown: str
    mdc: str
    display: str
    loinc: str
    loinc_display: str


@dataclass(frozen=True, slots=True)
class Codes:
    mdc: str
    leads: dict[str, LeadCode]
    measurements: dict[str, MeasurementCode]

    def label(self, code: str) -> str | None:
        """Return the lead of an MDC code."""
        return next((label for label, row in self.leads.items() if row.code == code), None)


@cache
def codes() -> Codes:
    table: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "codes.yaml").read_text("utf-8"))
    return Codes(
        table["mdc"],
        {label: LeadCode(**row) for label, row in table["leads"].items()},
        {name: MeasurementCode(**row) for name, row in table["measurements"].items()},
    )
