"""What a message of a platform must hold: cardinalities of its action, and one patient (hospital.yaml, rhin.yaml)."""

from mappings.hl7v3.actions import Action, Cardinality
from mappings.hl7v3.question import is_inside
from mappings.language.sources.elements import is_silent
from mappings.language.sources.xml_path import XmlPath, walk
from mappings.xml.tree import Element
from terminology.issues import Issue

MOST = 20
MISSING = {"patient": "patientId", "number": "id"}
# Elements that carry a patient's number on the regional platform, in small letters; an `id` counts inside the others.
PATIENT = frozenset(
    [
        "patientid",
        "survivingpatientid",
        "survivingid",
        "newpatientid",
        "targetpatientid",
        "sourcepatientid",
        "idcardno",
        "idcard",
        "identityid",
        "healthcardid",
        "healthcardno",
        "personid",
        "residentid",
        "cardno",
        "personidcard",
        "residentidcard",
    ]
)
PEOPLE = frozenset({"patient", "person", "patientperson", "residentinfo", "sourcepatientinfo"})
TRANSMISSION = frozenset({"sender", "receiver", "interactionid", "creationtime"})


def problems(action: Action, root: Element) -> list[Issue]:
    """Return what is missing or too often there; nothing when the message may be processed."""
    if not action.takes(root.name):
        values = {"action": action.name, "found": root.name[:80], "expected": ", ".join(action.requests)}
        return [Issue("HT-XML-11", values, source=root.name[:80])]
    issues = [issue for rule in action.cardinalities if (issue := _broken(rule, root)) is not None]
    if action.needs and not _names(action.needs, root):
        issues.append(
            Issue("HT-XML-12", {"path": MISSING[action.needs], "least": 1}, source=MISSING[action.needs])
        )
    if action.patient is not None and (second := _second_patient(action.patient, root)) is not None:
        issues.append(Issue("HT-XML-13", {}, source=second.place))
    return issues[:MOST]


def _broken(rule: Cardinality, root: Element) -> Issue | None:
    counts = [count(path, root) for path in rule.paths]
    found = next((number for number in counts if number), 0)
    if found < rule.least:
        return Issue(
            "HT-XML-12", {"path": rule.paths[0].text, "least": rule.least}, source=rule.paths[0].text
        )
    if rule.most is not None and found > rule.most:
        values = {"path": rule.paths[0].text, "most": rule.most, "found": found}
        return Issue("HT-XML-14", values, source=rule.paths[0].text)
    return None


def count(path: XmlPath, root: Element) -> int:
    """Return how many elements or attributes of a path say something."""
    total = 0
    for element in walk(root, path.steps):
        if path.leaf and path.leaf != "text()":
            total += bool(element.get(path.leaf))
        elif not is_silent(element) and not _is_hollow(element):
            total += 1
    return total


def _is_hollow(element: Element) -> bool:
    """Tell whether nothing inside has a value: `<id><item root="…" extension=""/></id>` names nothing."""
    if element.name in ("id", "name"):
        return not any(
            one.get("extension") or one.get("value") or one.get("code") or one.text.strip() or _only_root(one)
            for one in element.walk()
        )
    return False


def _only_root(element: Element) -> bool:
    """A root without extension names the thing itself, unless an extension was meant."""
    return bool(element.get("root")) and "extension" not in element.attributes


def _second_patient(path: XmlPath, root: Element) -> Element | None:
    found = list(walk(root, path.steps))
    return found[1] if len(found) > 1 else None


def _names(what: str, root: Element) -> bool:
    """Tell whether a patient, or the number of anything but the message itself, is named somewhere below the root."""
    return any(
        _says(element)
        for element in root.walk()
        if element.parent is not None
        and (_is_person(element) if what == "patient" else _is_number(element, root))
    )


def _is_person(element: Element) -> bool:
    name = element.name.casefold()
    return name in PATIENT or (
        name == "id" and element.parent is not None and element.parent.name.casefold() in PEOPLE
    )


def _is_number(element: Element, root: Element) -> bool:
    if element.parent is root and element.name == "id":
        return False
    return element.name.casefold().endswith(("id", "no", "number", "code")) and not is_inside(
        element, TRANSMISSION
    )


def _says(element: Element) -> bool:
    return any(one.get("extension") or one.get("value") or one.text.strip() for one in element.walk())
