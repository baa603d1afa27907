"""One answer of a QuestionnaireResponse: its type, its options, and the limits of its question."""

import base64
import binascii
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from conformance.definitions import is_resource
from conformance.validation.codings import codings_of
from conformance.validation.comparison import compare, matches_regex
from conformance.validation.enabled import value_of
from conformance.validation.path import Path
from conformance.validation.run import Run, Scope
from terminology.fhirjson import Json

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
# questionnaire.html#item-types: the type of value[x] for each type of question.
TYPES: dict[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "decimal": ("decimal",),
    "integer": ("integer",),
    "date": ("date",),
    "dateTime": ("dateTime",),
    "time": ("time",),
    "string": ("string",),
    "text": ("string",),
    "url": ("uri",),
    "attachment": ("Attachment",),
    "reference": ("Reference",),
    "quantity": ("Quantity",),
    "choice": ("Coding", "date", "time", "integer", "string", "Reference"),
    "open-choice": ("Coding", "date", "time", "integer", "string", "Reference"),
}
_RESTFUL = re.compile(
    r"(?:(\w+)://\S+/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?(?:#\S*)?"
)


def check_answer(
    question: Json, answer: Json, path: Path, questionnaire: Json, scope: Scope, run: Run
) -> None:
    kind = str(question.get("type"))
    name = next((key for key in answer if key.startswith("value") and key != "value"), None)
    if name is None:
        if not answer.keys() & {"extension", "item"} and not any(key.startswith("_value") for key in answer):
            run.report("HT-VAL-163", path, link=question.get("linkId"))
        return
    value, type_name = answer[name], name[5:]
    type_name = (
        type_name
        if type_name in ("Coding", "Attachment", "Reference", "Quantity")
        else type_name[:1].lower() + type_name[1:]
    )
    where = Path(path, "value", None, type_name)
    allowed = TYPES.get(kind)
    if allowed is not None and type_name not in allowed:
        run.report("HT-VAL-164", where, wanted=" | ".join(allowed), found=type_name)
        return
    _check_options(question, kind, value, type_name, path, where, questionnaire, run)
    _check_limits(question, value, where, run)
    if isinstance(value, str):
        _check_text(question, value, where, run)
    elif type_name == "decimal":
        _check_decimal(question, value, where, run)
    elif type_name == "Quantity" and isinstance(value, dict):
        _check_quantity(question, value, where, run)
    elif type_name == "Attachment" and isinstance(value, dict):
        _check_attachment(question, value, path, run)
    elif type_name == "Reference" and isinstance(value, dict):
        _check_reference(question, value, where, scope, run)


def extensions(question: Json, *urls: str) -> Iterator[Any]:
    """Yield the values of a question's extensions of these URLs."""
    rows = question.get("extension")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("url") in urls:
            yield value_of(row, "value")


def _check_options(
    question: Json,
    kind: str,
    value: Any,
    type_name: str,
    path: Path,
    where: Path,
    questionnaire: Json,
    run: Run,
) -> None:
    options = question.get("answerOption")
    values = [
        value_of(row, "value")
        for row in (options if isinstance(options, list) else ())
        if isinstance(row, dict)
    ]
    is_open = kind == "open-choice" and type_name == "string"
    if values and not is_open and not any(_is_option(value, one) for one in values):
        run.report("HT-VAL-165", path if type_name == "Coding" else where, value=_shown(value))
    value_set = question.get("answerValueSet")
    if isinstance(value_set, str) and type_name == "Coding" and not is_open:
        for system, code in codings_of(value, "Coding"):
            if _member(value_set, system, code, questionnaire, run) is False:
                run.report("HT-VAL-166", path, value=_shown(value), value_set=value_set)
    elif isinstance(value_set, str) and type_name != "Coding" and kind == "choice":
        run.report("HT-VAL-164", where, wanted="Coding", found=type_name)


def _is_option(value: Any, option: Any) -> bool:
    if isinstance(value, dict) and isinstance(option, dict):
        if "reference" in option:
            return bool(value.get("reference") == option["reference"])
        return (value.get("code"), value.get("system")) == (option.get("code"), option.get("system"))
    return bool(value == option)


def _member(value_set: str, system: str | None, code: str, questionnaire: Json, run: Run) -> bool | None:
    if not value_set.startswith("#"):
        return run.terminology.member_of(value_set, system, code)
    rows = questionnaire.get("contained")
    found = next(
        (
            row
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict) and row.get("id") == value_set[1:]
        ),
        None,
    )
    if found is None:
        return None
    from conformance.validation.codes import CoreTerminology

    # A contained value set is known only here: it gets a name for this question.
    own = CoreTerminology(
        lambda kind, url: found if (kind, url) == ("ValueSet", value_set) else run.registry.find(kind, url)
    )
    return own.member_of(value_set, system, code)


def _check_limits(question: Json, value: Any, where: Path, run: Run) -> None:
    for code, urls in (
        ("HT-VAL-89", (_BASE + "minValue", _SDC + "minQuantity")),
        ("HT-VAL-90", (_BASE + "maxValue", _SDC + "maxQuantity")),
    ):
        for limit in extensions(question, *urls):
            order = compare(value, limit)
            if order is None and isinstance(value, dict) and isinstance(limit, dict):
                run.report("HT-VAL-167", where, value=_shown(value), limit=_shown(limit))
            elif order is not None and (order < 0 if code == "HT-VAL-89" else order > 0):
                run.report(code, where, value=_shown(value), limit=_shown(limit), profile="Questionnaire")


def _check_text(question: Json, value: str, where: Path, run: Run) -> None:
    longest = question.get("maxLength")
    if isinstance(longest, int) and len(value) > longest:
        run.report("HT-VAL-88", where, length=len(value), max=longest, profile="Questionnaire")
    for shortest in extensions(question, _BASE + "minLength"):
        if isinstance(shortest, int) and len(value) < shortest:
            run.report("HT-VAL-168", where, length=len(value), min=shortest)
    for pattern in extensions(question, _BASE + "regex"):
        if isinstance(pattern, str) and matches_regex(pattern, value) is False:
            run.report("HT-VAL-169", where, value=value[:80], pattern=pattern[:200])


def _check_decimal(question: Json, value: Any, where: Path, run: Run) -> None:
    for places in extensions(question, _BASE + "maxDecimalPlaces"):
        if isinstance(places, int) and isinstance(value, Decimal):
            exponent = value.as_tuple().exponent
            if isinstance(exponent, int) and -exponent > places:
                run.report("HT-VAL-170", where, value=str(value), places=places)


def _check_quantity(question: Json, value: Json, where: Path, run: Run) -> None:
    units = [row for row in extensions(question, _BASE + "questionnaire-unitOption") if isinstance(row, dict)]
    if units and not any(
        row.get("code") == value.get("code") and row.get("system") == value.get("system") for row in units
    ):
        run.report(
            "HT-VAL-171", where, value=_shown(value), wanted=", ".join(str(row.get("code")) for row in units)
        )
    for value_set in extensions(question, _BASE + "questionnaire-unitValueSet"):
        code = value.get("code")
        if not isinstance(value_set, str) or not isinstance(code, str):
            continue
        if run.terminology.member_of(value_set, value.get("system"), code) is False:
            run.report("HT-VAL-171", where, value=_shown(value), wanted=value_set)


def _check_attachment(question: Json, value: Json, path: Path, run: Run) -> None:
    allowed = [row for row in extensions(question, _BASE + "mimeType") if isinstance(row, str)]
    stated = value.get("contentType")
    if allowed and isinstance(stated, str) and stated not in allowed:
        run.report("HT-VAL-172", path, value=stated, wanted=", ".join(allowed))
    elif allowed and stated is None:
        run.report("HT-VAL-172", path, value="–", wanted=", ".join(allowed))
    size = value.get("size")
    data = value.get("data")
    if isinstance(data, str):
        try:
            size = len(base64.b64decode("".join(data.split()), validate=True))
        except (binascii.Error, ValueError):
            size = None
    for most in extensions(question, _BASE + "maxSize"):
        # maxSize is in megabytes (extension-maxsize.html).
        if isinstance(most, int | Decimal) and isinstance(size, int) and size > most * 1024 * 1024:
            run.report("HT-VAL-173", path, size=size, limit=str(most))


def _check_reference(question: Json, value: Json, where: Path, scope: Scope, run: Run) -> None:
    allowed = [
        row for row in extensions(question, _BASE + "questionnaire-referenceResource") if isinstance(row, str)
    ]
    text = value.get("reference")
    kind = value.get("type")
    if isinstance(text, str):
        if text.startswith("#"):
            found = scope.contained.get(text[1:])
            kind = found.get("resourceType") if found is not None else None
        elif match := _RESTFUL.fullmatch(text):
            kind = match[2]
            if not is_resource(kind) and match[1] in (None, "http", "https"):
                run.report("HT-VAL-42", where, reference=text[:80])
                return
    if allowed and isinstance(kind, str) and kind not in allowed:
        run.report("HT-VAL-41", where, type=kind, targets=", ".join(allowed), reference=str(text)[:80])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        if "code" in value and "value" not in value:
            return f"{value.get('system', '')}#{value['code']}"
        if "value" in value:
            return f"{value['value']} {value.get('unit') or value.get('code') or ''}".strip()
    return str(value)[:120]
