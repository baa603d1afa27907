"""Extensions (https://hl7.org/fhir/R4/extensibility.html): known or not, where they may stand, and ext-1."""

import re
from collections.abc import Iterator

from conformance.definitions import base_types
from conformance.validation.path import Path
from conformance.validation.profile_rule import Profile
from conformance.validation.run import Node, Run
from terminology.issues import FhirError

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
# Published or reserved for examples and tests; a missing definition here is nobody's mistake.
_EXAMPLES = (
    "example.org",
    "example.com/fhir",
    "acme.com",
    "nema.org",
    "http://hl7.org/fhir/tools/",
    "http://hl7.org/fhir/test/",
    "http://hl7.org/fhir/StructureDefinition/",
    "http://terminology.hl7.org/",
)
_MATURITY = "http://hl7.org/fhir/StructureDefinition/structuredefinition-"
_CROSS_VERSION = re.compile(r"http://hl7\.org/fhir/[1-6]\.[0-9]+/StructureDefinition/extension-\S+")


def check_extension(node: Node, run: Run) -> None:
    """An extension has a value or extensions, an absolute URL, and stands where its definition lets it."""
    value = node.value
    has_value = any(name.startswith(("value", "_value")) for name in value)
    if has_value == ("extension" in value):
        run.report("HT-VAL-63", node.path)
    url = node.text("url")
    if url is None:
        return
    if not _ABSOLUTE.fullmatch(url):
        if node.parent is None or node.parent.type != "Extension":
            run.report("HT-VAL-64", node.path, url=url[:120])
        return
    if "|" in url:
        run.report("HT-VAL-74", Path(node.path, "url"), url=url[:120])
        return
    known = run.registry.profile(url)
    if known is None:
        _unknown(url, node, run)
        return
    if known.type != "Extension":
        run.report("HT-VAL-75", node.path, url=url[:120], type=known.type)
        return
    _check_modifier(url, known.is_modifier, node, run)
    _check_context(url, known.context, node, run)
    _check_invariants(url, known.context_invariants, node, run)
    _check_parts(known, node, run)


def _unknown(url: str, node: Node, run: Run) -> None:
    if _CROSS_VERSION.fullmatch(url):
        return
    is_modifier = node.path.name == "modifierExtension"
    if run.policy.unknown_extensions == "refuse" and not any(part in url for part in _EXAMPLES):
        run.report("HT-VAL-60", node.path, url=url[:200])
    else:
        # A modifier that nobody knows may turn the meaning of what it stands in (extensibility.html#modifierExtension).
        run.report("HT-VAL-60", node.path, "warning" if is_modifier else "information", url=url[:200])


def _check_modifier(url: str, is_modifier: bool, node: Node, run: Run) -> None:
    stands_as_modifier = node.path.name == "modifierExtension"
    if stands_as_modifier != is_modifier:
        wanted = "modifierExtension" if is_modifier else "extension"
        run.report("HT-VAL-62", node.path, url=url[:200], wanted=wanted)


def _check_context(url: str, contexts: list[tuple[str, str]], node: Node, run: Run) -> None:
    holder = node.parent
    if not contexts or holder is None:
        return
    names = frozenset(_names(holder))
    for kind, expression in contexts:
        if (
            kind == "element"
            and expression.removeprefix("http://hl7.org/fhir/StructureDefinition/").partition("#")[0] in names
        ):
            return
        if kind == "element" and "#" in expression and expression.partition("#")[2] in names:
            return
        if (
            kind == "extension"
            and holder.type == "Extension"
            and holder.value.get("url") == expression.partition("#")[0]
        ):
            return
        if kind == "fhirpath" and _selects(expression, holder, run):
            return
    # HL7 itself puts the marks of maturity on every canonical resource, whatever 4.0.1 says of their context.
    if url.startswith(_MATURITY) and "CanonicalResource" in names:
        return
    allowed = ", ".join(expression for _, expression in contexts)
    run.report("HT-VAL-61", node.path, url=url[:200], allowed=allowed)


def _check_invariants(url: str, invariants: list[str], node: Node, run: Run) -> None:
    """structuredefinition.html#contextInvariant: evaluated on the extension, %extension is the extension itself."""
    from conformance.validation.expressions import holds

    holder = node.parent
    for text in invariants if holder is not None else ():
        assert holder is not None
        try:
            is_met = holds(
                text, holder.table.path, holder.value, holder.scope, run, variables={"extension": node.value}
            )
        except FhirError:
            continue
        if not is_met:
            run.report("HT-VAL-77", node.path, url=url[:200], expression=text)


def _check_parts(known: Profile, node: Node, run: Run) -> None:
    """The short-named parts of a complex extension are those of its definition."""
    rule = known.root.children.get("extension")
    names = {
        str(part.children["url"].value[1])
        for part in (rule.slices.values() if rule is not None else ())
        if "url" in part.children and part.children["url"].value is not None
    }
    if not names:
        return
    for part, path in node.objects("extension"):
        name = part.get("url")
        if isinstance(name, str) and ":" not in name and name not in names:
            run.report("HT-VAL-76", path, name=name[:80], url=known.url, names=", ".join(sorted(names)))


def _names(holder: Node) -> Iterator[str]:
    """Yield every name by which a context may mean the holder: its type and theirs, its paths."""
    spec = holder.spec
    if spec is None:
        yield from base_types(holder.type)
        yield "Element"  # defining-extensions.html#context: the widest context, resources included
        # R5 names for what R4 has without a common type: resources with a canonical URL.
        if "url" in holder.table.children:
            yield from ("CanonicalResource", "MetadataResource")
        return
    yield from base_types(spec.type)
    yield "Element"
    yield holder.table.path
    owner = holder.parent
    name = spec.element.name.removesuffix("[x]")
    trail = name
    yield spec.element.path
    yield spec.element.path.removesuffix("[x]")
    while owner is not None:
        yield f"{owner.table.path}.{trail}"
        for base in base_types(owner.table.path)[1:]:
            yield f"{base}.{trail}"
        if owner.spec is None:
            break
        trail = f"{owner.spec.element.name.removesuffix('[x]')}.{trail}"
        owner = owner.parent


def _selects(expression: str, holder: Node, run: Run) -> bool:
    """Tell whether a FHIRPath context finds the holder; when it cannot be evaluated, nothing is refused."""
    from conformance.validation.expressions import evaluate

    scope = holder.scope
    try:
        found = evaluate(expression, scope.type, scope.resource, scope, run)
    except FhirError:
        return True
    return any(item is holder.value or item == holder.value for item in found) or found == [True]
