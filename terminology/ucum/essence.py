"""The unit table: `ucum-essence.xml` as published (see NOTICE.md), read once on first use."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

ESSENCE = Path(__file__).parent / "ucum-essence.xml"
SPACE = "{http://unitsofmeasure.org/ucum-essence}"


@dataclass(frozen=True)
class Atom:
    """One unit atom. Its magnitude is `value` × `unit`; a base unit has neither, a special unit names its `function`.

    `is_arbitrary`: defined by a procedure, not comparable with anything but itself (ucum.org/ucum#section-Arbitrary).
    """

    code: str
    name: str
    property: str
    is_metric: bool
    is_arbitrary: bool = False
    value: Fraction | None = None
    unit: str = ""
    function: str = ""


@dataclass(frozen=True)
class Essence:
    """`prefixes`: code → factor; `atoms`: code → definition; `bases`: codes of the seven base units in their order."""

    version: str
    prefixes: dict[str, Fraction]
    atoms: dict[str, Atom]
    bases: tuple[str, ...]


@cache
def essence() -> Essence:
    root = ElementTree.fromstring(ESSENCE.read_bytes())  # noqa: S314  our own file
    prefixes: dict[str, Fraction] = {}
    for row in root.iter(f"{SPACE}prefix"):
        magnitude = row.find(f"{SPACE}value")
        assert magnitude is not None
        prefixes[row.attrib["Code"]] = Fraction(magnitude.attrib["value"])
    atoms: dict[str, Atom] = {}
    for row in root.iter(f"{SPACE}base-unit"):
        atoms[row.attrib["Code"]] = Atom(
            row.attrib["Code"], _text(row, "name"), _text(row, "property"), is_metric=True
        )
    bases = tuple(atoms)
    for row in root.iter(f"{SPACE}unit"):
        definition = row.find(f"{SPACE}value")
        assert definition is not None
        function = definition.find(f"{SPACE}function")
        source = definition.attrib if function is None else function.attrib
        atoms[row.attrib["Code"]] = Atom(
            code=row.attrib["Code"],
            name=_text(row, "name"),
            property=_text(row, "property"),
            is_metric=row.attrib["isMetric"] == "yes",
            is_arbitrary=row.attrib.get("isArbitrary") == "yes",
            value=Fraction(source["value"]),
            unit=source["Unit"],
            function="" if function is None else function.attrib["name"],
        )
    return Essence(root.attrib["version"], prefixes, atoms, bases)


def _text(row: ElementTree.Element, name: str) -> str:
    return " ".join((row.findtext(f"{SPACE}{name}") or "").split())
