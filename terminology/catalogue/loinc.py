"""The LOINC release zip: Loinc.csv and, when asked for, a linguistic variant (zhCN).

LOINC is © Regenstrief Institute, Inc.; the zip is the user's own download under the licence at loinc.org/license.
"""

import csv
import io
from collections.abc import Mapping
from typing import Any

from terminology.catalogue import archive
from terminology.catalogue.row import Name, Row, Table
from terminology.issues import InvalidInput

AXES = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS", "STATUS")
INACTIVE = frozenset({"DEPRECATED", "DISCOURAGED"})


def read(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return all LOINC terms; `columns["language"]` ("zhCN") adds the names of that linguistic variant."""
    members = archive.names(content)
    table = next((name for name in members if name.endswith("/Loinc.csv") or name == "Loinc.csv"), None)
    if table is None:
        raise InvalidInput(
            "HT-CAT-03", name="zip", formats="LOINC (Loinc.csv), RF2 (sct2_Concept_Snapshot), .xlsx"
        )
    translated = _variant(content, members, columns.get("language", "zhCN"))
    rows = []
    for number, line in enumerate(csv.DictReader(io.StringIO(archive.text(content, table))), 2):
        other = translated.get(line["LOINC_NUM"])
        short = line.get("SHORTNAME")
        rows.append(
            Row(
                code=line["LOINC_NUM"],
                display=line["LONG_COMMON_NAME"],
                names=(*((Name(other),) if other else ()), *((Name(short, "en", "short"),) if short else ())),
                properties={axis: line[axis] for axis in AXES if line.get(axis)},
                is_inactive=line.get("STATUS") in INACTIVE,
                line=number,
            )
        )
    return Table(tuple(rows))


def _variant(content: bytes, members: list[str], language: str) -> dict[str, str]:
    name = next(
        (
            name
            for name in members
            if "LinguisticVariants/" in name and name.startswith(language, name.rfind("/") + 1)
        ),
        None,
    )
    if name is None:
        return {}
    axes = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP")
    return {
        line["LOINC_NUM"]: ":".join(filter(None, (line.get(axis, "") for axis in axes)))
        for line in csv.DictReader(io.StringIO(archive.text(content, name)))
    }
