"""Value sets that come with Hutong as samples: the 50 first-visit and 30 not-to-be-referred diseases, drugs by chronic disease.

China's county pilots name the two disease lists and leave their content to the counties. A stored ValueSet with the
same URL takes the place of a sample (docs/terminology/catalogues.md).
"""

import re
from functools import cache

from terminology.fhirjson import Json
from terminology.tables.rows import table_rows

# The catalogues icd10 and drugs of shipped.toml; reading that needs numpy, which a start does without.
ICD10 = "urn:oid:2.16.156.10011.2.3.3.11"
DRUGS = "https://hutong.health/fhir/CodeSystem/drug"
BASE = "https://hutong.health/fhir/ValueSet/"
DATE = "2026-11-24"
SAMPLE = (
    "样例,未经任何县区审定,使用前请替换为本县目录。Sample: no county approved it; replace it by your own."
)

TITLES = {
    "first-visit-50": "基层首诊的 50 个病种(样例)",
    "no-referral-30": "基层一般不得转诊的 30 个病种(样例)",
}
DISEASES = {
    "高血压": "hypertension", "糖尿病": "diabetes", "慢阻肺": "copd", "冠心病/血脂": "coronary", "脑卒中": "stroke",
    "心衰/房颤": "heart-failure", "痛风": "gout", "甲状腺": "thyroid", "癫痫": "epilepsy", "精神": "severe-mental",
    "结核": "tuberculosis",
}  # fmt: skip


@cache
def value_sets() -> dict[str, Json]:
    """Return the shipped lists by id. The values are shared: whoever changes one takes a copy."""
    return {row["id"]: row for row in (*_disease_lists(), *_drug_lists())}


def _disease_lists() -> list[Json]:
    includes: dict[str, list[Json]] = {}
    for row in table_rows("disease_lists.csv"):
        # The national table has no category rows to be "is-a" of: a category is what its codes begin with.
        filters = [{"property": "code", "op": "regex", "value": re.escape(row["prefix"]) + r"\..*"}]
        includes.setdefault(row["list"], []).append({"system": ICD10, "filter": filters})
    return [_value_set(name, TITLES[name], rows) for name, rows in includes.items()]


def _drug_lists() -> list[Json]:
    codes: dict[str, dict[str, None]] = {}
    for row in table_rows("drug_chronic_core_from_memory.csv"):
        if row["atc"]:
            codes.setdefault(row["chronic_disease"], {})[row["atc"]] = None
    return [
        _value_set(
            f"chronic-drugs-{DISEASES[disease]}",
            f"慢病用药:{disease}(样例)",
            [{"system": DRUGS, "filter": [{"property": "atc", "op": "in", "value": ",".join(found)}]}],
        )
        for disease, found in codes.items()
    ]


def _value_set(identity: str, title: str, include: list[Json]) -> Json:
    return {
        "resourceType": "ValueSet",
        "id": identity,
        "url": BASE + identity,
        "version": "sample",
        "name": "".join(part.capitalize() for part in identity.split("-")),
        "title": title,
        "status": "draft",
        "experimental": True,
        "date": DATE,
        "description": SAMPLE,
        "compose": {"include": include},
    }
