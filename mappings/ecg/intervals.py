"""Global measurements of a decoded file: what the device wrote, and what follows from its marks by definition.

PR = P onset to QRS onset, QRS = QRS onset to offset, QT = QRS onset to T offset (EN 1064 §5.10, CSE recommendations);
rate = 60,000 ms / RR. Derived ones are marked as such.
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mappings.ecg.recording import Measurement

_OWN = ("heart_rate", "rr_interval", "pr_interval", "qrs_duration", "qt_interval", "qtc_bazett", "qtc_fridericia",
        "p_axis", "qrs_axis", "t_axis")  # fmt: skip
_MARKS = {
    "pr_interval": ("p_onset", "qrs_onset"),
    "qrs_duration": ("qrs_onset", "qrs_offset"),
    "qt_interval": ("qrs_onset", "t_offset"),
}
_CORRECTED = ("MDC_ECG_TIME_PD_QTc", "QTc Interval", "QTc interval", "qtc", "QTc interval global")
_MILLISECONDS = re.compile(r"\s*(\d{2,4}(?:\.\d+)?)\s*(?:ms\b.*)?", re.IGNORECASE)
# Beyond these a number is a device's word for "unknown" (29999, 65535, −32768) or nonsense.
_BOUNDS = {"heart_rate": (1, 400), "rr_interval": (100, 60_000)}
_INTERVAL, _ANGLE = (1, 2_000), (-360, 360)


def measurements_of(record: Any) -> tuple[Measurement, ...]:
    """Return the measurements in the order of codes.yaml."""
    given = record.measurements
    found: dict[str, Measurement] = {}
    for name in _OWN:
        value = getattr(given, name, None)
        if value is not None:
            _add(found, name, Decimal(str(value)), is_derived=False)
    corrected = _corrected(record)
    if corrected is not None and "qtc_bazett" not in found and "qtc_fridericia" not in found:
        _add(found, "qtc", corrected, is_derived=False)
    for name, (start, end) in _MARKS.items():
        if name not in found:
            begins, ends = (_number(record.annotations.get(f"median_{mark}_ms")) for mark in (start, end))
            if begins is not None and ends is not None and ends > begins:
                _add(found, name, ends - begins, is_derived=True)
    if "heart_rate" not in found and "rr_interval" in found:
        rate = (Decimal(60_000) / found["rr_interval"].value).quantize(Decimal(1), ROUND_HALF_UP)
        _add(found, "heart_rate", rate, is_derived=True)
    order = ("heart_rate", "rr_interval", "pr_interval", "qrs_duration", "qt_interval", "qtc", "qtc_bazett",
             "qtc_fridericia", "p_axis", "qrs_axis", "t_axis")  # fmt: skip
    return tuple(found[name] for name in order if name in found)


def _corrected(record: Any) -> Decimal | None:
    """QTc by a formula that the device doesn't name."""
    stored = record.raw_metadata.get("qtc_ms")
    texts = [str(stored) if stored else None, *(record.annotations.get(key) for key in _CORRECTED)]
    return next((number for text in texts if (number := _number(text)) is not None), None)


def _number(text: str | None) -> Decimal | None:
    match = _MILLISECONDS.fullmatch(text) if text else None
    return Decimal(match[1]) if match else None


def _add(found: dict[str, Measurement], name: str, value: Decimal, *, is_derived: bool) -> None:
    low, high = _BOUNDS.get(name, _ANGLE if name.endswith("axis") else _INTERVAL)
    if low <= value <= high:
        found[name] = Measurement(name, value, is_derived)
