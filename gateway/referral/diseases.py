"""Whether a diagnosis is on a list of diseases (china.md seed 10: 30 not to be referred, 50 of the first visit)."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from terminology.catalogue.lists import ICD10, value_sets
from terminology.fhirjson import Json
from terminology.issues import FhirError

_ICD = re.compile(r"icd-?10|2\.16\.156\.10011\.2\.3\.3\.11|2\.16\.840\.1\.113883\.6\.3", re.IGNORECASE)


async def on_list(url: str, codings: Sequence[Json], terminology: Any) -> Json | None:
    """Return the first coding that the value set holds, None when it holds none.

    The terminology service answers where it can (subsumption, the county's own list); where the catalogue of diagnoses
    is not loaded, the shipped list's own categories are compared.
    """
    service = (await terminology.current()) if terminology is not None else None
    for coding in codings:
        found = _asked(url, coding, service)
        if found is None:
            found = _compared(url, coding)
        if found:
            return coding
    return None


def _asked(url: str, coding: Json, service: Any) -> bool | None:
    """Return what the terminology says; None when it knows the list or the code not well enough to say no."""
    if service is None or not coding.get("system"):
        return None
    rows = [
        {"name": "url", "valueUri": url},
        {"name": "system", "valueUri": coding["system"]},
        {"name": "code", "valueCode": coding.get("code")},
    ]
    try:
        answer = service.validate_code_in_value_set({"resourceType": "Parameters", "parameter": rows})
    except FhirError:
        return None
    result = next((row.get("valueBoolean") for row in answer["parameter"] if row["name"] == "result"), None)
    return True if result is True else None


def _compared(url: str, coding: Json) -> bool:
    """Compare with the categories of the shipped list, whatever name the sender gives to ICD-10."""
    if coding.get("system") and not _ICD.search(str(coding["system"])):
        return False
    value_set = value_sets().get(url.rpartition("/")[2])
    code = str(coding.get("code") or "").strip().upper()
    if value_set is None or value_set["url"] != url or not code:
        return False
    return any(
        include.get("system") == ICD10
        and any(re.fullmatch(row["value"], code + ("" if "." in code else ".")) for row in include["filter"])
        for include in value_set["compose"]["include"]
    )


def codings_of(concepts: Iterable[Json]) -> list[Json]:
    """Return the codings with a code, each once."""
    found: dict[tuple[str, str], Json] = {}
    for concept in concepts:
        for row in (concept or {}).get("coding") or ():
            if row.get("code"):
                found.setdefault((str(row.get("system") or ""), str(row["code"])), row)
    return list(found.values())
