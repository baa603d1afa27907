"""Row checks of a drug table: code structures, approval numbers, ATC, strength, flags."""

from collections.abc import Iterable, Iterator

from terminology.catalogue.row import Row, problem
from terminology.drug.codes import is_approval_number, is_atc, is_standard_code, nhsa_code
from terminology.drug.tiers import broken_links
from terminology.issues import Issue
from terminology.workbench.drug_name import parse

NATIONAL = ("nhsa", "standard-code", "ypid")


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
    return [*found, *_doubled(listed), *_replaced(listed), *broken_links(listed)]


def _doubled(rows: Iterable[Row]) -> Iterator[Issue]:
    """A national code stands for one pack: two active rows with one are most likely the same drug twice."""
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        for name in NATIONAL:
            value = row.properties.get(name)
            if not isinstance(value, str) or row.is_inactive:
                continue
            earlier = first.setdefault((name, value), row.code)
            if earlier != row.code:
                yield problem(
                    "HT-CAT-21", row.line, "warning", concept=row.code, attribute=name, value=value, first=earlier
                )  # fmt: skip


def _replaced(rows: Iterable[Row]) -> Iterator[Issue]:
    """`replaced-by` must lead to a drug of the table, and never back."""
    after = {row.code: row.properties.get("replaced-by") for row in rows}
    for row in rows:
        seen, code = {row.code}, after[row.code]
        while isinstance(code, str) and code:
            if code not in after or code in seen:
                yield problem("HT-CAT-39", row.line, concept=row.code, value=code)
                break
            seen.add(code)
            code = after[code]
