"""One resting ECG as all formats tell it: leads in counts with their scale, who, when, by which machine, what it measured."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, slots=True)
class Lead:
    """Samples of one lead: µV = counts × `factor` + `origin`.

    `counts`: whole numbers as float64, NaN where the device has none. `rate`: samples/s, exact. `factor` None: the file
    doesn't tell the voltage of a count.
    """

    label: str
    counts: "numpy.ndarray[Any, Any]"
    rate: float
    factor: Decimal | None
    origin: Decimal = Decimal(0)

    @property
    def seconds(self) -> float:
        return len(self.counts) / self.rate if self.rate else 0.0

    @property
    def period(self) -> Decimal:
        """Milliseconds between two samples."""
        return plain(Decimal(repr(round(1000 / self.rate, 9)))) if self.rate else Decimal(0)

    def microvolts(self) -> "numpy.ndarray[Any, Any]":
        """Return the samples in µV; in counts where the voltage is unknown."""
        return self.counts * float(self.factor or 1) + float(self.origin)


@dataclass(frozen=True, slots=True)
class Measurement:
    """`name`: a row of codes.yaml. `is_derived`: computed here from what the device wrote (rate from RR, PR from marks)."""

    name: str
    value: Decimal
    is_derived: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """`name`: family^given; `birth`: YYYYMMDD; `sex`: M F U."""

    id: str = ""
    name: str = ""
    birth: str = ""
    sex: str = ""
    age: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    manufacturer: str = ""
    model: str = ""
    name: str = ""
    serial: str = ""
    software: str = ""
    institution: str = ""
    department: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the machine (or who confirmed it) says of the tracing. `source`: machine, overread or confirmed."""

    statements: tuple[str, ...] = ()
    source: str = ""
    interpreter: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """`start`, `Reading.at`: DTM with offset where the file has one. `id`: the file's own, "" when it has none.

    `order`: the number of the order or accession; `study`, `series`, `instance`: DICOM UIDs.
    """

    format: str
    title: str
    media_type: str
    leads: tuple[Lead, ...]
    id: str = ""
    start: str = ""
    order: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    patient: Person = Person()
    machine: Machine = Machine()
    reading: Reading = Reading()
    measurements: tuple[Measurement, ...] = ()
    operator: str = ""
    referrer: str = ""
    place: str = ""
    reason: str = ""
    filters: dict[str, str] = field(default_factory=dict)
    repaired: bool = False

    @property
    def rate(self) -> float:
        return self.leads[0].rate if self.leads else 0.0

    @property
    def seconds(self) -> float:
        return max((lead.seconds for lead in self.leads), default=0.0)

    def lead(self, label: str) -> Lead | None:
        return next((lead for lead in self.leads if lead.label == label), None)

    def value(self, name: str) -> Decimal | None:
        return next((row.value for row in self.measurements if row.name == name), None)


def with_derived_leads(recording: Recording) -> Recording:
    """Return the recording with III, aVR, aVL, aVF computed where only I and II were written.

    III = II − I, aVR = −(I + II)/2, aVL = I − II/2, aVF = II − I/2 (Einthoven, Goldberger). Halves are kept by halving
    the scale, so nothing is rounded.
    """
    first, second = recording.lead("I"), recording.lead("II")
    missing = [label for label in ("III", "aVR", "aVL", "aVF") if recording.lead(label) is None]
    if not missing or first is None or second is None:
        return recording
    if len(first.counts) != len(second.counts) or (first.factor, first.origin) != (
        second.factor,
        second.origin,
    ):
        return recording
    one, two = first.counts, second.counts
    doubled = {"III": 2 * (two - one), "aVR": -(one + two), "aVL": 2 * one - two, "aVF": 2 * two - one}
    # III, aVL and aVF are differences in which a common origin counts 0, ½ and ½ times; aVR −1 times.
    shares = {"III": Decimal(0), "aVR": Decimal(-1), "aVL": Decimal("0.5"), "aVF": Decimal("0.5")}
    half = first.factor / 2 if first.factor is not None else None
    made = [
        Lead(label, doubled[label], first.rate, half, plain(first.origin * shares[label]))
        for label in missing
    ]
    return replace(recording, leads=(*recording.leads, *made))


def plain(number: Decimal) -> Decimal:
    """Return the number without trailing zeros and without exponent: 2.50 → 2.5, 1E+1 → 10."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
