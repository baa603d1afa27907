"""A figure as MeasureReport with its strata, its definition as Measure, its rows as a sheet.

https://hl7.org/fhir/R4/measurereport.html
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import Any

from gateway.csv_sheet import csv_sheet
from gateway.indicators.county import Case, County
from terminology.fhirjson import Json

POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"
UCUM = "http://unitsofmeasure.org"
AMOUNT = "https://hutong.health/fhir/StructureDefinition/population-amount"
MEASURE = "https://hutong.health/fhir/Measure/"
SCORINGS = {
    "proportion": "proportion",
    "ratio": "ratio",
    "amounts": "ratio",
    "count": "cohort",
    "median": "continuous-variable",
}
COLUMNS = {
    "source": "依据",
    "day": "日期",
    "organization": "机构编号",
    "name": "机构",
    "tier": "机构类型",
    "patient": "患者",
    "group": "类别",
    "denominator": "计入分母",
    "numerator": "计入分子",
    "value": "数值",
}
_POINTS = Decimal("0.0001")


def score(cases: Sequence[Case], scoring: str) -> Decimal | None:
    """Return the figure with four digits (a count whole, minutes with one); None where nothing was to be counted."""
    if scoring == "count":
        return Decimal(len(cases))
    if scoring == "median":
        values = [case.value for case in cases if case.value is not None]
        return Decimal(median(values)).quantize(Decimal("0.1")) if values else None
    above, below = _sums(cases, amounts=scoring == "amounts")
    return (above / below).quantize(_POINTS) if below else None


def to_measure_report(
    rules: Mapping[str, Any], cases: Sequence[Case], county: County, *, start: str, end: str, now: str
) -> Json:
    """Return the report: one group, with strata by month, organisation, type of organisation, and category where there is one."""
    strata: dict[str, Callable[[Case], str]] = {
        "month": lambda case: case.day.isoformat()[:7],
        "organization": lambda case: case.organization,
        "organization-type": lambda case: county.tier(case.organization),
        "category": lambda case: case.group,
    }
    stratifiers = [_stratifier(name, key, cases, rules) for name, key in strata.items()]
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": f"{MEASURE}{rules['id']}",
        "date": now,
        "period": {"start": start, "end": end},
        "group": [
            {"code": {"text": f"{rules['zh']} {rules['en']}"}}
            | _group(cases, rules["scoring"])
            | {"stratifier": stratifiers}
        ],
    }


def to_measure(rules: Mapping[str, Any], *, version: str, source: str) -> Json:
    """Return the definition: what is counted, in words, with its source."""
    names = _populations(rules["scoring"])
    populations = [
        {
            "code": {"coding": [{"system": POPULATION, "code": code}]},
            "description": f"{rules[part]['zh']} / {rules[part]['en']}",
            "criteria": {"language": "text/plain", "expression": rules[part]["en"]},
        }
        for part, code in names.items()
    ]
    return {
        "resourceType": "Measure",
        "id": rules["id"],
        "url": f"{MEASURE}{rules['id']}",
        "version": version,
        "name": "".join(part.capitalize() for part in rules["id"].split("-")),
        "title": f"{rules['zh']} {rules['en']}",
        "status": "active",
        "publisher": "Hutong",
        "relatedArtifact": [
            {"type": "citation", "citation": rules["source"]},
            {"type": "citation", "citation": source},
        ],
        "scoring": {"coding": [{"system": SCORING, "code": SCORINGS[rules["scoring"]]}]},
        "group": [{"population": populations}],
    }


def as_csv(cases: Sequence[Case], county: County) -> bytes:
    """Return the rows behind a figure for a spreadsheet."""
    return csv_sheet(COLUMNS.values(), (_cells(case, county) for case in cases))


def _cells(case: Case, county: County) -> list[str | int | Decimal]:
    chain = county.chain(case.organization)
    return [
        case.source,
        case.day.isoformat(),
        case.organization,
        str(chain[0].get("name", "")) if chain else "",
        county.tier(case.organization),
        case.patient,
        case.group,
        int(case.required),
        int(case.counted),
        "" if case.value is None else case.value,
    ]


def _populations(scoring: str) -> dict[str, str]:
    """Return which words define which population."""
    if scoring == "count":
        return {"numerator": "initial-population"}
    if scoring == "median":
        return {"numerator": "measure-population"}
    return {"denominator": "denominator", "numerator": "numerator"}


def _group(cases: Sequence[Case], scoring: str) -> Json:
    counts = {
        "denominator": sum(case.required for case in cases),
        "numerator": sum(case.counted for case in cases),
        "initial-population": len(cases),
        "measure-population": len(cases),
    }
    above, below = _sums(cases, amounts=True)
    amounts = {"denominator": below, "numerator": above}
    populations: list[Json] = []
    for code in _populations(scoring).values():
        row: Json = {"code": {"coding": [{"system": POPULATION, "code": code}]}, "count": counts[code]}
        if scoring == "amounts":
            money = {"value": amounts[code], "currency": "CNY"}
            row = {"extension": [{"url": AMOUNT, "valueMoney": money}]} | row
        populations.append(row)
    group: Json = {"population": populations}
    found = score(cases, scoring)
    if found is not None:
        unit = "min" if scoring == "median" else "1"
        group["measureScore"] = {"value": found, "system": UCUM, "code": unit}
    return group


def _sums(cases: Sequence[Case], *, amounts: bool) -> tuple[Decimal, Decimal]:
    """Return numerator and denominator: numbers of rows, or their money."""
    one = Decimal(1)
    above = sum(
        ((case.value or Decimal(0)) if amounts else one for case in cases if case.counted), Decimal(0)
    )
    below = sum(
        ((case.value or Decimal(0)) if amounts else one for case in cases if case.required), Decimal(0)
    )
    return above, below


def _stratifier(
    name: str, key: Callable[[Case], str], cases: Sequence[Case], rules: Mapping[str, Any]
) -> Json:
    parts: dict[str, list[Case]] = {}
    for case in cases:
        parts.setdefault(key(case), []).append(case)
    strata = [
        {"value": {"text": value}} | _group(parts[value], rules["scoring"])
        for value in sorted(parts)
        if value
    ]
    found: Json = {"code": [{"text": name}]}
    return found | {"stratum": strata} if strata else found
