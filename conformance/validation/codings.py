"""Codings and bindings (https://hl7.org/fhir/R4/terminologies.html): systems, codes, displays, value sets."""

import re
from functools import cache
from typing import Any

from conformance.validation.codes import LANGUAGES, SHAPES, UCUM, Terminology, core_resource
from conformance.validation.path import Path
from conformance.validation.run import Node, Run
from conformance.validation.tables import Spec
from terminology.fhirjson import Json

LANGUAGE_SET = "http://hl7.org/fhir/ValueSet/languages"
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


def check_coding(node: Node, run: Run) -> None:
    """A Coding's system is a code system's address, its code one of the system's, its display one of the code's."""
    check_coding_value(node.value, node.path, run)


def is_value_set(system: str, run: Run) -> bool:
    """Tell whether a URL in the place of a code system is that of a known value set."""
    if "/ValueSet/" in system:
        return (
            run.registry.find("ValueSet", system) is not None
            or core_resource("value_sets", system.partition("|")[0]) is not None
        )
    return False


def check_coding_value(coding: Json, path: Path, run: Run) -> None:
    system, code, display = coding.get("system"), coding.get("code"), coding.get("display")
    if not isinstance(system, str):
        if isinstance(code, str) and "_system" not in coding:
            run.report("HT-VAL-39", path, "warning", code=code[:80])
        return
    if not _ABSOLUTE.fullmatch(system):
        run.report("HT-VAL-36", Path(path, "system"), system=system[:80])
        return
    if is_value_set(system, run):
        run.report("HT-VAL-37", Path(path, "system"), system=system[:200])
        return
    if run.registry.is_supplement(system):
        run.report("HT-VAL-38", Path(path, "system"), system=system[:200])
        return
    if not isinstance(code, str):
        return
    known = run.terminology.knows(system, code)
    if known is False:
        run.report("HT-VAL-34", Path(path, "code"), code=code[:80], system=system[:200])
    elif known and isinstance(display, str):
        _check_display(system, code, display, path, run)


def _check_display(system: str, code: str, display: str, path: Path, run: Run) -> None:
    names = run.terminology.displays(system, code)
    if not names or _folded(display) in {_folded(name) for name in names}:
        return
    # A name in a script that none of the known names uses is a translation we cannot judge.
    if not display.isascii() and all(name.isascii() for name in names):
        return
    shown = ", ".join(f"'{name}'" for name in sorted(names)[:5])
    run.report(
        "HT-VAL-35",
        Path(path, "display"),
        display=display[:120],
        code=code[:80],
        system=system[:200],
        names=shown,
    )


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def check_code(value: Any, path: Path, _node: Node, spec: Spec, run: Run) -> None:
    """A code whose required value set cannot be listed (media types), and languages, which have a form (BCP 47)."""
    if spec.binding is None or spec.codes is not None:
        return
    strength, value_set = spec.binding.strength, spec.binding.value_set
    if value_set.startswith(LANGUAGE_SET):
        if not SHAPES[LANGUAGES](value):
            run.report(
                "HT-VAL-31", path, value=value[:80], value_set="http://hl7.org/fhir/ValueSet/all-languages"
            )
    elif strength in ("required", "extensible"):
        check_bound(value, "code", strength, value_set, path, run)


def is_coded(spec: Spec) -> bool:
    return spec.binding is not None and spec.binding.strength in ("required", "extensible", "preferred")


def check_binding(node: Node, run: Run) -> None:
    """Hold a CodeableConcept, Coding or Quantity against the value set that its place is bound to."""
    spec = node.spec
    if spec is not None and spec.binding is not None:
        check_bound(node.value, spec.type, spec.binding.strength, spec.binding.value_set, node.path, run)


def check_bound(value: Any, type_name: str, strength: str, value_set: str, path: Path, run: Run) -> None:
    """Report a coded value outside a value set: an error when required, else a warning or a word of information."""
    codings = codings_of(value, type_name)
    if not codings:
        # terminologies.html#required: text alone does not fulfil a required binding.
        if (
            strength == "required"
            and type_name == "CodeableConcept"
            and isinstance(value, dict)
            and "coding" not in value
        ):
            run.report("HT-VAL-33", path, value_set=value_set)
        return
    answers = [_member(run.terminology, value_set, system, code, type_name) for system, code in codings]
    if True in answers or None in answers:
        return
    shown = ", ".join(f"{system or ''}#{code}" for system, code in codings[:4])
    if strength == "required":
        run.report("HT-VAL-31", path, value=shown, value_set=value_set)
    elif strength == "extensible":
        run.report("HT-VAL-32", path, "warning", value=shown, value_set=value_set)
    else:
        run.report("HT-VAL-29", path, "information", value=shown, value_set=value_set)


def _member(
    terminology: Terminology, value_set: str, system: str | None, code: str, type_name: str
) -> bool | None:
    if system is None and type_name != "code":
        return False if terminology.member_of(value_set, None, code) is not None else None
    return terminology.member_of(value_set, system, code)


def codings_of(value: Any, type_name: str) -> list[tuple[str | None, str]]:
    """Return (system, code) pairs of a code, Coding, CodeableConcept or Quantity."""
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    rows = value.get("coding") if type_name == "CodeableConcept" else [value]
    return [
        (row.get("system") if isinstance(row.get("system"), str) else None, row["code"])
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and isinstance(row.get("code"), str)
    ]


@cache
def _ucum_is_valid(code: str) -> bool:
    from terminology.ucum import is_valid

    return is_valid(code)


def is_simple_quantity(spec: Spec) -> bool:
    return any(url.endswith("/SimpleQuantity") for ref in spec.element.types for url in ref.profiles)


def check_simple_quantity(node: Node, run: Run) -> None:
    """sqty-1: a SimpleQuantity has no comparator (datatypes.html#SimpleQuantity)."""
    if "comparator" in node.value:
        run.report(
            "HT-VAL-30",
            node.path,
            key="sqty-1",
            human="The comparator is not used on a SimpleQuantity",
            expression="comparator.empty()",
        )


def check_quantity(node: Node, run: Run) -> None:
    """A quantity that says UCUM uses a unit that UCUM has (http://unitsofmeasure.org)."""
    code = node.text("code")
    if node.value.get("system") == UCUM and code is not None and not _ucum_is_valid(code):
        run.report("HT-VAL-57", Path(node.path, "code"), code=code[:80])
