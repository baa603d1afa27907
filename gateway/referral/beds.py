"""Bed pools (床位池): Location.operationalStatus (HL7 table 0116), a bed kept for a referral until it ends."""

from collections import Counter

from gateway.referral.order import E
from gateway.workflow.coordination import TERMINAL
from gateway.workflow.draft import Move, codes_of, reference_of
from terminology.fhirjson import Json

STATUS = "http://terminology.hl7.org/CodeSystem/v2-0116"
FREE, TAKEN, CLEANING = "U", "O", "H"
NAMES = {"U": "空床 Unoccupied", "O": "占用 Occupied", "H": "清洁中 Housekeeping"}
RESERVED = f"{E}reserved-for"


def status_of(bed: Json) -> str:
    """Return the code of operationalStatus; a bed that tells none is closed to the pool."""
    return str((bed.get("operationalStatus") or {}).get("code") or "C")


def is_bed(location: Json) -> bool:
    return "bd" in codes_of(location.get("physicalType"))


def with_status(bed: Json, code: str, *, reserved_for: str = "") -> Json:
    """Return a bed in another state, kept for an order or for nobody."""
    rows = [row for row in bed.get("extension") or () if row.get("url") != RESERVED]
    if reserved_for:
        rows.append({"url": RESERVED, "valueReference": {"reference": reserved_for}})
    changed = {
        **bed,
        "operationalStatus": {"system": STATUS, "code": code, "display": NAMES[code]},
        "extension": rows,
    }
    if not rows:
        del changed["extension"]
    return changed


def reserved_for(bed: Json) -> str:
    return next(
        (
            reference_of(row.get("valueReference"))
            for row in bed.get("extension") or ()
            if row.get("url") == RESERVED
        ),
        "",
    )


async def release(move: Move) -> None:
    """A referral that ends gives its bed back: to be cleaned where the patient lay in it, else free (effect `release-bed`)."""
    if move.kind != "referral" or move.now not in TERMINAL or move.was == move.now:
        return
    order = reference_of(move.current.get("focus"))
    for row in move.current.get("input") or ():
        reference = reference_of(row.get("valueReference"))
        bed = await move.draft.read(reference) if "bed" in codes_of(row.get("type")) else None
        if bed is not None and reserved_for(bed) == order:
            await move.draft.put(with_status(bed, CLEANING if move.was == "in-progress" else FREE))


def counted(beds: list[Json]) -> dict[str, Counter[str]]:
    """Return how many beds are in which state, by ward (the Location that they are part of)."""
    found: dict[str, Counter[str]] = {}
    for bed in beds:
        found.setdefault(reference_of(bed.get("partOf")), Counter())[status_of(bed)] += 1
    return found
