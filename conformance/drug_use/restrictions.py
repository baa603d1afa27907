"""Whom and where a drug is for: the restrictions that NHSA's supervision rules (两库) put on it.

Tables `drug_nhsa_restrictions` (by class code) and `drug_nhsa_limits` (by generic name, with the payment note);
terminology/tables/SOURCES.md. A drug is found by its national code, which begins with the class code, else by its name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from terminology.tables.rows import table_rows

SEX = {"男": "male", "女": "female"}
LEVEL = {"一级": 1, "二级": 2, "三级": 3}
CLASS_CODE = 11
"""The first characters of a national code that name generic name and form."""
FORM = re.compile(
    r"(片|分散片|缓释片|控释片|肠溶片|口崩片|咀嚼片|胶囊|软胶囊|颗粒|口服液|口服溶液|糖浆|混悬液|合剂|丸|散|膏|乳膏|软膏|栓|贴|喷雾剂|"
    r"滴眼液|注射液|注射用浓溶液)"
)


@dataclass(frozen=True, slots=True)
class Restriction:
    """One row. Empty, 0 or False: not restricted in this. `diseases` is a pattern of diagnosis names."""

    name: str
    sex: str = ""
    is_for_children: bool = False
    level: int = 0
    is_for_inpatients: bool = False
    days: int = 0
    diseases: str = ""
    insurance: str = ""
    note: str = ""


def restrictions_of(names: Iterable[str], codes: Iterable[str]) -> list[Restriction]:
    """Return the rows of a drug. Rows that share a name hold together: a drug of several forms is restricted in what all say."""
    by_code, by_name = _table()
    for code in codes:
        found = by_code.get(code[: CLASS_CODE + 1]) or by_code.get(code[:CLASS_CODE])
        if found:
            return found
    for name in names:
        for wording in (name, _without_form(name)):
            found = by_name.get(wording)
            if found:
                return found
    return []


def _without_form(name: str) -> str:
    """Return "西地那非" of "西地那非片(100mg)", "天麻素" of "注射用天麻素"."""
    plain = re.sub(r"[((].*?[))]", "", name).strip()
    return FORM.sub("", plain.removeprefix("注射用")) or plain


@cache
def _table() -> tuple[dict[str, list[Restriction]], dict[str, list[Restriction]]]:
    by_code: dict[str, list[Restriction]] = {}
    by_name: dict[str, list[Restriction]] = {}
    notes: dict[str, str] = {}
    for row in table_rows("drug_nhsa_limits.csv.gz"):
        name = row["generic_name"]
        notes.setdefault(name, row["payment_note"])
        kind, value = row["limit_type"], row["limit_value"]
        by_name.setdefault(name, []).append(
            Restriction(
                name,
                sex=SEX.get(value, "") if kind == "限定性别对象" else "",
                is_for_children=value == "儿童",
                level=LEVEL.get(value, 0),
                is_for_inpatients=value == "住院",
                days=_days(value) if kind == "限定支付疗程" else 0,
                insurance=value if kind == "限定保险类型" else "",
                note=row["payment_note"],
            )
        )
    for row in table_rows("drug_nhsa_restrictions.csv.gz"):
        found = Restriction(
            row["name"],
            sex=SEX.get(row["sex_limit"], ""),
            is_for_children=row["age_limit"] == "儿童",
            level=LEVEL.get(row["institution_limit"], 0),
            is_for_inpatients=row["visit_limit"] == "住院",
            days=_days(row["course_limit"]),
            diseases=row["disease_limit"],
            insurance=row["insurance_limit"],
            note=notes.get(row["name"], ""),
        )
        by_code.setdefault(row["nhsa_drug_class_code"], []).append(found)
        if row["name"] not in notes:
            by_name.setdefault(row["name"], []).append(found)
    by_class = {code: _shared(rows) for code, rows in by_code.items()}
    return by_class, {name: rows if name in notes else _shared(rows) for name, rows in by_name.items()}


def _shared(rows: list[Restriction]) -> list[Restriction]:
    """Rows of one class that differ belong to different products: only what all say holds for the class."""
    if len(rows) == 1:
        return rows
    first = rows[0]
    return [
        Restriction(
            first.name,
            sex=first.sex if len({row.sex for row in rows}) == 1 else "",
            is_for_children=all(row.is_for_children for row in rows),
            level=min(row.level for row in rows),
            is_for_inpatients=all(row.is_for_inpatients for row in rows),
            days=max(row.days for row in rows) if all(row.days for row in rows) else 0,
            diseases="|".join(row.diseases for row in rows) if all(row.diseases for row in rows) else "",
            insurance=first.insurance if len({row.insurance for row in rows}) == 1 else "",
            note=first.note,
        )
    ]


def _days(text: str) -> int:
    found = re.match(r"(\d+)天", text)
    return int(found[1]) if found else 0
