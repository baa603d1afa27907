"""CodeSystem/$subsumes: how two codes of one code system stand to each other.

https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from terminology.code_system import CodeSystem
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput, NotFound
from terminology.lookup import need_code_system
from terminology.scope import Scope


def subsumes(scope: Scope, inputs: Inputs, given: CodeSystem | None) -> Json:
    """Return Parameters with `outcome`: equivalent, subsumes, subsumed-by or not-subsumed."""
    first, second = inputs.coding("codingA"), inputs.coding("codingB")
    system = given
    if first is not None and second is not None:
        url, version = first.get("system"), first.get("version") or second.get("version")
        if not url or second.get("system") != url or not first.get("code") or not second.get("code"):
            raise InvalidInput("HT-TX-11")
        codes = first["code"], second["code"]
        system = system if system is not None else need_code_system(scope, url, version)
    elif first is not None or second is not None:
        raise InvalidInput("HT-TX-11")
    else:
        codes = inputs.need("codeA"), inputs.need("codeB")
        if system is None:
            system = need_code_system(scope, inputs.need("system"), inputs.text("version"))
    answer = relation(system, *codes)
    return {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": answer}]}


def relation(system: CodeSystem, first: str, second: str) -> str:
    """Return the concept-subsumption-outcome of two codes; raises NotFound for one that isn't there."""
    one, other = need_concept(system, first), need_concept(system, second)
    if one == other:
        return "equivalent"
    if system.is_descendant(other, one):
        return "subsumes"
    return "subsumed-by" if system.is_descendant(one, other) else "not-subsumed"


def need_concept(system: CodeSystem, code: str) -> int:
    ordinal = system.locate(code)
    if ordinal is None:
        raise NotFound("HT-TX-07", code=code, system=system.url, version=system.version or "–")
    return ordinal
