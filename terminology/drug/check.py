"""Row checks of a drug table: code structures, approval numbers, ATC, strength, flags."""

from collections.abc import Iterable

from terminology.catalogue.row import Row, problem
from terminology.drug.codes import is_approval_number, is_atc, is_standard_code, nhsa_code
from terminology.drug.tiers import broken_links
from terminology.issues import Issue
from terminology.workbench.drug_name import parse

CONTROLLED = frozenset(
    {
        "",
        "麻醉",
        "精一",
        "精二",
        "毒性",
        "放射",
        "易制毒",
        "none",
        "narcotic",
        "psychotropic-1",
        "psychotropic-2",
        "toxic",
        "radioactive",
        "precursor",
    }
)


def check_drugs(rows: Iterable[Row]) -> list[Issue]:
    """Return the problems of drug rows; properties use the catalogue's names (nhsa, standard-code, approval, atc …)."""
    listed = list(rows)
    found: list[Issue] = []
    for row in listed:
        held = {name: str(value) for name, value in row.properties.items() if isinstance(value, str)}
        if (code := held.get("nhsa")) and nhsa_code(code) is None:
            found.append(problem("HT-CAT-31", row.line, concept=row.code, value=code))
        if (code := held.get("standard-code")) and not is_standard_code(code):
            found.append(problem("HT-CAT-32", row.line, "warning", concept=row.code, value=code))
        if (number := held.get("approval")) and not is_approval_number(number):
            found.append(problem("HT-CAT-33", row.line, "warning", concept=row.code, value=number))
        if (atc := held.get("atc")) and not is_atc(atc):
            found.append(problem("HT-CAT-34", row.line, "warning", concept=row.code, value=atc))
        if (strength := held.get("strength")) and not parse(row.display, strength).strengths:
            found.append(problem("HT-CAT-35", row.line, "warning", concept=row.code, value=strength))
        if held.get("controlled", "") not in CONTROLLED:
            found.append(problem("HT-CAT-36", row.line, concept=row.code, value=held["controlled"]))
    return found + broken_links(listed)
