"""Value sets that no resource defines: all codes of a code system, by its valueSet element or by `?fhir_vs`.

https://hl7.org/fhir/R4/snomedct.html#implicit gives the pattern: `[url]?fhir_vs`, `?fhir_vs=isa/[code]`; it works
here for every code system with a hierarchy.
"""

from typing import TYPE_CHECKING

from terminology.fhirjson import Json

if TYPE_CHECKING:
    from terminology.scope import Scope


def implicit_value_set(scope: "Scope", url: str, version: str | None) -> Json | None:
    """Return the value set that a URL implies, None when it implies none."""
    system_url, mark, query = url.partition("?fhir_vs")
    if mark:
        return _by_pattern(scope, system_url, query, version)
    for resource in (*scope.own.code_systems(), *scope.library.code_systems_with_value_set(url)):
        if resource.get("valueSet", "").partition("|")[0] == url and resource.get("content") != "supplement":
            if version and resource.get("version") != version:
                continue
            return _all_codes(url, resource["url"], resource.get("version"), resource.get("name"))
    return None


def _by_pattern(scope: "Scope", system_url: str, query: str, version: str | None) -> Json | None:
    if scope.code_system(system_url, version, by_rules=False) is None:
        return None
    value_set = _all_codes(f"{system_url}?fhir_vs{query}", system_url, version, None)
    if not query:
        return value_set
    kind, _, code = query.removeprefix("=").partition("/")
    if kind == "isa" and code:
        value_set["compose"]["include"][0]["filter"] = [{"property": "concept", "op": "is-a", "value": code}]
        return value_set
    return None


def _all_codes(url: str, system: str, version: str | None, name: str | None) -> Json:
    include = {"system": system, **({"version": version} if version else {})}
    return {
        "resourceType": "ValueSet",
        "url": url,
        **({"version": version} if version else {}),
        **({"name": name} if name else {}),
        "status": "active",
        "compose": {"include": [include]},
    }
