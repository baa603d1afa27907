"""Rules of single values: URIs and canonicals, markup in strings, attachments, identifiers."""

import base64
import binascii
import hashlib
import re
from typing import Any

from conformance.definitions import profile, structure
from conformance.validation.codes import core_resource
from conformance.validation.path import Path
from conformance.validation.primitives import PATTERNS
from conformance.validation.run import Node, Run
from conformance.validation.tables import Spec

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_UUID = re.compile(PATTERNS["uuid"])
_OID = re.compile(PATTERNS["oid"])
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_BASE = "http://hl7.org/fhir/StructureDefinition/"
_KINDS = (
    "Questionnaire",
    "ValueSet",
    "CodeSystem",
    "StructureDefinition",
    "Measure",
    "Library",
    "ConceptMap",
)


def check_uri(value: Any, path: Path, _node: Node, _spec: Spec, run: Run) -> None:
    """urn:uuid: and urn:oid: keep their own forms; oid: and uuid: alone are no URIs (datatypes.html#uri)."""
    if value.startswith("urn:uuid:"):
        if not _UUID.fullmatch(value):
            run.report("HT-VAL-51", path, value=value[:80])
    elif value.startswith("urn:oid:"):
        if not _OID.fullmatch(value):
            run.report("HT-VAL-52", path, value=value[:80])
    elif value.startswith(("oid:", "uuid:")):
        run.report("HT-VAL-53", path, value=value[:80])


def check_canonical(value: Any, path: Path, node: Node, spec: Spec, run: Run) -> None:
    """A canonical is absolute or names a contained resource, and what it names has an allowed type."""
    if value.startswith("#"):
        if value[1:] not in node.scope.contained and value != "#":
            run.report("HT-VAL-40", path, reference=value[:80])
        return
    if not _ABSOLUTE.fullmatch(value):
        run.report("HT-VAL-50", path, value=value[:80])
        return
    allowed = {url.removeprefix(_BASE).partition("|")[0] for url in spec.targets}
    if not allowed or "Resource" in allowed or not all(structure(name) is not None for name in allowed):
        return
    found = kind_of(value, run)
    if found is not None and found not in allowed:
        run.report("HT-VAL-59", path, value=value[:200], found=found, targets=", ".join(sorted(allowed)))


def kind_of(canonical: str, run: Run) -> str | None:
    """Return the type of the resource that a canonical names, when it is known."""
    for kind in _KINDS:
        if run.registry.find(kind, canonical) is not None:
            return kind
    plain = canonical.partition("|")[0]
    if profile(plain) is not None or (
        plain.startswith(_BASE) and structure(plain.removeprefix(_BASE)) is not None
    ):
        return "StructureDefinition"
    if core_resource("value_sets", plain) is not None:
        return "ValueSet"
    return "CodeSystem" if core_resource("code_systems", plain) is not None else None


def check_string(value: Any, path: Path, _node: Node, _spec: Spec, run: Run) -> None:
    """Markup in a plain string may be run by a careless display (security.html#narrative)."""
    if "<" in value and _TAG.search(value):
        run.report("HT-VAL-58", path, "error" if run.policy.html_in_strings == "refuse" else "warning")


def check_attachment(node: Node, run: Run) -> None:
    """Size and hash are those of the data (datatypes.html#attachment)."""
    size, stated_hash = node.value.get("size"), node.text("hash")
    data = node.text("data")
    if data is None or (size is None and stated_hash is None):
        return
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return
    if isinstance(size, int) and size != len(content):
        run.report("HT-VAL-55", node.path, stated=size, actual=len(content))
    # datatypes.html#attachment: SHA-1, base64; it guards against accidents, not against people.
    actual = base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()
    if stated_hash is not None and stated_hash != actual:
        run.report("HT-VAL-56", node.path, stated=stated_hash[:80], actual=actual)


def check_identifier(node: Node, run: Run) -> None:
    """Identifier.system is absolute; under urn:ietf:rfc:3986 the value is a whole URI (datatypes.html#identifier)."""
    system, value = node.text("system"), node.text("value")
    if system is not None and not _ABSOLUTE.fullmatch(system):
        run.report("HT-VAL-54", Path(node.path, "system"), system=system[:80])
    elif system == "urn:ietf:rfc:3986" and value is not None and not _ABSOLUTE.fullmatch(value):
        run.report("HT-VAL-73", Path(node.path, "value"), value=value[:80])
