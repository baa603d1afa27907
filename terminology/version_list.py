"""$versions: which versions of a code system or a value set are here."""

from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import NotFound
from terminology.scope import Scope


def list_versions(scope: Scope, inputs: Inputs) -> Json:
    """Return Parameters with one `version` (url|version) for each; raises NotFound when the url is unknown."""
    url = inputs.need("url", "system")
    systems = scope.code_system_versions(url)
    value_sets = sorted({*scope.own.value_set_versions(url), *scope.library.value_set_versions(url)})
    has_any = (
        systems
        or value_sets
        or scope.code_system(url, None, by_rules=False) is not None
        or scope.value_set(url) is not None
    )
    if not has_any:
        raise NotFound("HT-TX-06", type="CodeSystem | ValueSet", url=url)
    rows = [{"name": "version", "valueCanonical": f"{url}|{version}"} for version in (*systems, *value_sets)]
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "url", "valueUri": url}, *rows],
    }
