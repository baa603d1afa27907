"""The profiles that a resource or extension brings along: meta.profile, an extension's definition, vital signs."""

from conformance.validation.items import Item, item_of
from conformance.validation.profiles import Checker, check_profile
from conformance.validation.run import Node, Run

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_LOINC = "http://loinc.org"
# observation-vitalsigns.html: an Observation with one of these codes SHALL conform.
VITAL_SIGNS = {
    "85353-1": "vitalspanel",
    "9279-1": "resprate",
    "8867-4": "heartrate",
    "2708-6": "oxygensat",
    "8310-5": "bodytemp",
    "8302-2": "bodyheight",
    "9843-4": "headcircum",
    "29463-7": "bodyweight",
    "39156-5": "bmi",
    "85354-9": "bp",
}


def check_declared(node: Node, run: Run) -> None:
    """Check a resource against meta.profile and against what its code makes it."""
    meta = node.value.get("meta")
    urls = meta.get("profile") if isinstance(meta, dict) else None
    named = [url for url in (urls if isinstance(urls, list) else ()) if isinstance(url, str)]
    if node.type == "Observation" and (implied := _vital_sign(node)) is not None:
        named.append(implied)
    named.extend(run.registry.global_profiles(node.type))
    for url in dict.fromkeys(named):
        check_profile(item_of(node.value, node.path, node.scope), url, run)


def _vital_sign(node: Node) -> str | None:
    code = node.value.get("code")
    for row in code.get("coding", ()) if isinstance(code, dict) else ():
        if (
            isinstance(row, dict)
            and row.get("system") == _LOINC
            and (name := VITAL_SIGNS.get(str(row.get("code"))))
        ):
            return _BASE + name
    return None


def check_extension_profile(node: Node, run: Run) -> None:
    """Check an extension against its definition."""
    url = node.text("url")
    if url is None or ":" not in url or "|" in url:
        return
    profile = run.registry.profile(url)
    if profile is not None and profile.type == "Extension":
        Checker(run).check(Item(node.value, "Extension", "Extension", node.path, node.scope), profile)
