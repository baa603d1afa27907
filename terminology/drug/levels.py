"""Levels of the drug catalogue: generic → generic with form and strength → product → pack.

Each level is a concept of one CodeSystem, linked by parent; a prescription names level 2 or below, the stock level 4.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from terminology.catalogue.row import Row
from terminology.workbench.drug_name import parse

LEVELS = ("generic", "clinical", "product", "pack")


@dataclass(frozen=True, slots=True)
class DrugRow:
    """One line of a drug list: `name` 通用名 with form, `strength` 规格, `maker` 生产企业, `pack` 包装."""

    row: Row
    strength: str = ""
    maker: str = ""
    pack: str = ""


def levelled(rows: Iterable[Row]) -> list[Row]:
    """Return a flat drug list with its levels; what a row says of strength, maker and pack stands in its properties."""
    return link(
        DrugRow(
            row,
            *(str(row.properties.get(name, "")) for name in ("strength", "maker", "pack")),
        )
        for row in rows
    )


def link(drugs: Iterable[DrugRow]) -> list[Row]:
    """Return the rows of all four levels, parents first; the given code stays on the most specific level that the line has.

    Codes of made levels derive from their names (`G:氨氯地平`, `C:氨氯地平|片剂|5 mg`), so the same drug of two imports
    meets in one concept.
    """
    made: dict[str, Row] = {}
    own: list[Row] = []
    for drug in drugs:
        parsed = parse(drug.row.display, drug.strength)
        generic = made.setdefault(
            f"G:{parsed.generic}", _made(f"G:{parsed.generic}", parsed.generic, "generic", ())
        )
        clinical_name = " ".join(
            filter(None, (parsed.salt + parsed.generic + (parsed.form or ""), drug.strength))
        )
        code = "|".join(
            filter(None, (f"C:{parsed.generic}", parsed.form, strength_text(drug.row.display, drug.strength)))
        )
        clinical = made.setdefault(code, _made(code, clinical_name, "clinical", (generic.code,)))
        level = "pack" if drug.pack else "product" if drug.maker else "clinical"
        if level == "clinical":
            # The line itself is this level: its code and name stand there.
            made[code] = replace(
                drug.row, parents=(generic.code,), properties={**drug.row.properties, "level": "clinical"}
            )
            continue
        parent = clinical.code
        if drug.pack and drug.maker:
            parent = f"{code}|{drug.maker}"
            made.setdefault(
                parent, _made(parent, f"{clinical_name} {drug.maker}", "product", (clinical.code,))
            )
        own.append(replace(drug.row, parents=(parent,), properties={**drug.row.properties, "level": level}))
    return _relinked([*made.items()], own)


def _relinked(made: list[tuple[str, Row]], own: list[Row]) -> list[Row]:
    """Let children of a made clinical level point at the real row that took its place."""
    codes = {key: row.code for key, row in made}
    rows = [row for _, row in made] + own
    return [replace(row, parents=tuple(codes.get(parent, parent) for parent in row.parents)) for row in rows]


def _made(code: str, display: str, level: str, parents: Sequence[str]) -> Row:
    return Row(code, display, tuple(parents), properties={"level": level})


def strength_text(name: str, strength: str) -> str:
    """Return a normal form of the strength: "5 mg", "1 mg/2 mL", "0.9 %"; empty when none is written."""
    parts = []
    for part in parse(name, strength).strengths:
        text = f"{part.amount.normalize():f} {part.kind}" if part.amount is not None else ""
        if part.percent is not None:
            text = f"{text} {part.percent.normalize():f} %".strip()
        if part.volume is not None:
            text = f"{text}/{part.volume.normalize():f} mL" if text else f"{part.volume.normalize():f} mL"
        parts.append(text)
    return "+".join(parts)
