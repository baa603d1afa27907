"""FHIR → what shared documents (WS/T 483, WS/T 500) have of their own: template, data elements, the parts of a result."""

import re
from datetime import date
from typing import Any

from mappings.cda.documents import document_types
from mappings.datatypes.cda import DATA_ELEMENTS, data_elements
from mappings.language.converters import Context, converter
from mappings.outbound.types.v3 import oid_of, to_any, to_cd
from mappings.outbound.xml import shown
from mappings.xml.parse import parse
from mappings.xml.tree import Element
from terminology.fhirjson import Json
from terminology.issues import FhirError

_NAME = "卫生信息数据元目录"
_OID = DATA_ELEMENTS.removeprefix("urn:oid:")
_COUNTY = ("http://loinc.org", "https://hutong.health/")
# XHTML → CDA narrative, where the elements hold no mixture of text and elements.
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(.*)")
_AMOUNTS = {"DE06.00.135.00": "", "DE06.00.147.00": "d"}
_TAGS = {"p": "paragraph", "ul": "list", "ol": "list", "li": "item", "table": "table", "thead": "thead", "tbody": "tbody", "tr": "tr", "th": "th", "td": "td", "caption": "caption"}  # fmt: skip


@converter("cda_template", returns="string", takes_text=True)
def to_template(value: str, context: Context) -> str | None:
    """`type.coding.code | cda_template`: C0007 → 2.16.156.10011.2.1.1.27."""
    return next((one.template for one in document_types() if one.code == value), None)


@converter("cda_element", returns="xml")
def to_element(value: Any, context: Context) -> Json | None:
    """`code | cda_element`: a concept with the coding of a data element (WS 363) as `<code>`; else its own code or name."""
    rows = value.get("coding", ()) if isinstance(value, dict) else ()
    found = next((row for row in rows if row.get("system") == DATA_ELEMENTS), None)
    if found is None:
        made: Json | None = to_cd(value, context)
        return made
    return named(str(found["code"]), str(found.get("display") or value.get("text") or ""))


@converter("cda_named", returns="xml", takes_text=True)
def to_named(value: str, context: Context) -> Json | None:
    """`"DE04.50.130.00" | cda_named`: the `<code>` of a data element by its number alone."""
    return named(value, "")


def named(element: str, display: str) -> Json:
    """Return the `<code>` of a data element."""
    known = data_elements().get(element)
    name = display or (known.name if known is not None else "")
    made = {"@code": element, "@codeSystem": _OID, "@codeSystemName": _NAME}
    return {**made, "@displayName": name} if name else made


@converter("cda_text", returns="xml")
def to_text(value: Any, context: Context) -> Json | str | None:
    """`text | cda_text`: a Narrative as the text of a section; nothing when it only repeats the title (status empty)."""
    if not isinstance(value, dict) or value.get("status") == "empty" or not value.get("div"):
        return None
    try:
        root = parse(str(value["div"]).encode()).root
    except FhirError:
        return None
    if not root.children:
        return root.text.strip() or None
    if _is_pure(root):
        return _block(root)
    return root.content() or None


@converter("cda_item_value", returns="xml")
def to_item_value(value: Any, context: Context) -> Json | None:
    """`code | cda_item_value`: the item of a result: the sender's own code before the county's, else the name."""
    own = _own_code(value)
    if own is not None and own.get("system"):
        made: Json | None = to_cd({"coding": [own]}, context, "CD")
        return made
    text = str(own["code"]) if own is not None else str(value.get("text") or "")
    return {"@xsi:type": "ST", "#text": text} if text else None


@converter("cda_item_name", returns="string")
def to_item_name(value: Any, context: Context) -> str | None:
    """`code | cda_item_name`: the name of an item where its value (`cda_item_value`) doesn't show it."""
    own = _own_code(value)
    text = str(value.get("text") or "")
    if own is None or not text:
        return None
    return text if not own.get("system") or text != own.get("display") else None


@converter("cda_judgement", returns="xml")
def to_judgement(value: Any, context: Context) -> Json | None:
    """`interpretation[] | cda_judgement`: 检查/检验结果代码 (1, 2, 3) of the interpretation that carries it."""
    for concept in value if isinstance(value, list) else [value]:
        for row in concept.get("coding", ()):
            if row.get("system") == "urn:oid:2.16.156.10011.2.3.2.38":
                made: Json | None = to_cd({"coding": [row]}, context, "CD")
                return made
    return None


@converter("cda_result_value", returns="xml")
def to_result_value(value: Any, context: Context) -> Json | None:
    """`$this | cda_result_value`: the value of a result without its unit, which stands in a part of its own."""
    quantity = value.get("valueQuantity")
    if quantity is not None and quantity.get("value") is not None:
        sign = quantity.get("comparator")
        if sign:
            return {"@xsi:type": "ST", "#text": f"{sign}{shown(quantity['value'])}"}
        return {"@xsi:type": "REAL", "@value": shown(quantity["value"])}
    given = value.get("valueRange")
    if given is not None and given.get("low") and given.get("high"):
        ends = "-".join(shown(given[end].get("value")) for end in ("low", "high"))
        return {"@xsi:type": "ST", "#text": ends}
    if value.get("valueString") is not None:
        return {"@xsi:type": "ST", "#text": str(value["valueString"])}
    concept = value.get("valueCodeableConcept")
    if concept is not None and not _is_judgement(concept):
        made: Json | None = to_cd(concept, context, "CD")
        return made
    return None


@converter("cda_result_unit", returns="string")
def to_result_unit(value: Any, context: Context) -> str | None:
    """`$this | cda_result_unit`: the unit as people write it."""
    quantity = value.get("valueQuantity") or (value.get("valueRange") or {}).get("low") or {}
    return str(quantity.get("unit") or quantity.get("code") or "") or None


@converter("cda_flag", returns="xml")
def to_flag(value: Any, context: Context) -> Json | None:
    """`interpretation[] | cda_flag`: interpretationCode; the judgement 1, 2, 3 is none."""
    if any(row.get("system") == "urn:oid:2.16.156.10011.2.3.2.38" for row in value.get("coding", ())):
        return None
    made: Json | None = to_cd(value, context)
    if made is not None and value.get("text"):
        made = {
            **{key: part for key, part in made.items() if key != "originalText"},
            "@displayName": str(value["text"]),
        }
    return made


@converter("cda_valid_days", returns="string")
def to_days(value: Any, context: Context) -> str | None:
    """`dispenseRequest.validityPeriod | cda_valid_days`: how many days a period has."""
    try:
        start, end = (date.fromisoformat(str(value[end])[:10]) for end in ("start", "end"))
    except (KeyError, ValueError):
        return None
    return str((end - start).days + 1)


@converter("cda_root", returns="string")
def to_root(value: Any, context: Context) -> str | None:
    """`identifier | cda_root`: the OID of an identifier's system."""
    return oid_of(value.get("system") if isinstance(value, dict) else str(value), context) or None


def _own_code(concept: Json) -> Json | None:
    rows = [row for row in concept.get("coding", ()) if row.get("code")]
    own = [row for row in rows if not str(row.get("system") or "").startswith(_COUNTY)]
    return next(iter(own or rows), None)


def _is_judgement(concept: Json) -> bool:
    return any(row.get("system") == "urn:oid:2.16.156.10011.2.3.2.38" for row in concept.get("coding", ()))


def _is_pure(element: Element) -> bool:
    """Tell whether no element mixes text with elements, and every one has its counterpart."""
    return all(
        not (inner.children and (inner.text.strip() or any(child.tail.strip() for child in inner.children)))
        and (inner is element or inner.name in _TAGS)
        for inner in element.walk()
    )


def _block(element: Element) -> Json | str:
    if not element.children:
        return element.text
    made: Json = {}
    for child in element.children:
        made.setdefault(_TAGS[child.name], []).append(_block(child))
    return made


@converter("cda_title", returns="xml", takes_text=True)
def to_title_code(value: str, context: Context) -> Json | None:
    """`title | cda_title`: the code of a section that has only a name."""
    return {"@displayName": value}


@converter("cda_concept_value", returns="xml")
def to_concept_value(value: Any, context: Context) -> Json | None:
    """`specimen->Specimen.type | cda_concept_value`: a concept as CD, as ST when it is only a text."""
    made: Json | None = to_any({"valueCodeableConcept": value}, context)
    return made


@converter("cda_own_code", returns="xml")
def to_own_code(value: Any, context: Context) -> Json | None:
    """`medicationCodeableConcept | cda_own_code`: the sender's own code as `<code>`, nothing for a mere name."""
    own = _own_code(value)
    made: Json | None = to_cd({"coding": [own]}, context) if own is not None else None
    return made


@converter("cda_diagnosis_element", returns="xml")
def to_diagnosis_element(value: Any, context: Context, part: str) -> Json | None:
    """`$this | cda_diagnosis_element name`: the data element of a diagnosis' name or code, of Chinese medicine or not."""
    codings = (value.get("code") or {}).get("coding", ())
    is_tcm = any("2.3.3.14" in str(row.get("system")) or "tcm" in str(row.get("system")) for row in codings)
    name, code = ("DE05.10.172.00", "DE05.10.130.00") if is_tcm else ("DE05.01.025.00", "DE05.01.024.00")
    text = next((str(row["text"]) for row in value.get("category", ()) if row.get("text")), "")
    return named(name, text or "诊断名称") if part == "name" else named(code, "诊断代码")


@converter("cda_said", returns="string", takes_all=True)
def to_said(values: list[Any], context: Context, name: str) -> str | None:
    """`note[] | cda_said 诊断机构`: what a note of the form NAME：TEXT says."""
    start = f"{name}："
    texts = (str(row.get("text") or "") for row in values)
    return next((text.removeprefix(start) for text in texts if text.startswith(start)), None)


@converter("cda_noted", returns="xml")
def to_noted(value: Any, context: Context) -> Json | None:
    """`$this | cda_noted`: a note of the form NAME：TEXT as the observation that it came from."""
    name, mark, text = str(value.get("text") or "").partition("：")
    if not mark or len(name) > 30:
        return None
    element = next((one.element for one in data_elements().values() if one.name == name), "")
    found = _AMOUNT.fullmatch(text)
    made: Json = {"@xsi:type": "ST", "#text": text}
    if element in _AMOUNTS and found:
        made = {"@xsi:type": "PQ", "@value": found[1], "@unit": found[2] or _AMOUNTS[element]}
    code = named(element, name) if element else {"@displayName": name}
    return {"@classCode": "OBS", "@moodCode": "EVN", "code": code, "value": made}


@converter("cda_remark", returns="string", takes_all=True)
def to_remark(values: list[Any], context: Context) -> str | None:
    """`note[] | cda_remark`: the first note that isn't of the form NAME：TEXT."""
    texts = (str(row.get("text") or "") for row in values)
    return (
        next(
            (text for text in texts if (text and len(text.partition("：")[0]) > 30) or "：" not in text), None
        )
        or None
    )


@converter("cda_address", returns="xml")
def to_address(value: Any, context: Context) -> Json | None:
    """`address[] | cda_address`: AD of the Chinese standards; lines by what they end with, an address without lines as text."""
    made: Json = {"@use": "H"} if value.get("use") == "home" else {}
    lines: dict[str, str] = {}
    for line in value.get("line", ()):
        name = next(
            (name for name, endings in _LINES.items() if str(line).endswith(endings)), "streetAddressLine"
        )
        lines[name] = lines.get(name, "") + str(line)
    for name in ("houseNumber", "streetName", "streetAddressLine", "township"):
        if lines.get(name):
            made[name] = lines[name]
    for name, key in (
        ("county", "district"),
        ("city", "city"),
        ("state", "state"),
        ("postalCode", "postalCode"),
    ):
        if value.get(key):
            made[name] = str(value[key])
    if len(made) == ("@use" in made):
        return {**made, "#text": str(value["text"])} if value.get("text") else None
    return made


_LINES = {
    "township": ("镇", "乡", "街道", "办事处", "苏木"),
    "streetName": ("村", "社区", "路", "街", "巷", "弄", "组", "屯"),
    "houseNumber": ("号", "室", "栋", "楼", "单元"),
}
