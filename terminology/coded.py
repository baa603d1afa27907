"""What a $validate-code request wants validated: a code, a Coding or a CodeableConcept."""

from dataclasses import dataclass
from typing import Literal

from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput
from terminology.version_negotiation import add_path

Kind = Literal["code", "coding", "codeableConcept"]

# Answers are for people and screens; more codings than this are no concept.
MAX_CODINGS = 200


@dataclass(frozen=True)
class Coded:
    """What is to be validated, as a CodeableConcept. `kind`: how it came; `root`: FHIRPath of the input."""

    kind: Kind
    root: str
    concept: Json

    @property
    def codings(self) -> list[Json]:
        return list(self.concept.get("coding") or ())

    def path(self, number: int) -> str:
        return f"CodeableConcept.coding[{number}]" if self.kind == "codeableConcept" else self.root

    def element(self, name: str) -> str:
        """Return the path of an element of the first coding."""
        return add_path(self.path(0), name)


def read_coded(inputs: Inputs, *, is_code_system: bool) -> Coded:
    """Return what is to be validated: codeableConcept, coding, or code with its system."""
    concept = inputs.concept("codeableConcept")
    if concept is not None:
        if len(concept.get("coding") or ()) > MAX_CODINGS:
            count = len(concept["coding"])
            raise InvalidInput("HT-TX-12", name="codeableConcept.coding", count=count, limit=MAX_CODINGS)
        return Coded("codeableConcept", "CodeableConcept", concept)
    coding = inputs.coding("coding")
    if coding is not None:
        return Coded("coding", "Coding", {"coding": [coding]})
    code = inputs.need("code", "coding", "codeableConcept") if not inputs.has("code") else inputs.need("code")
    if is_code_system:
        system, version = inputs.text("url", "system"), inputs.text("version")
    else:
        system, version = inputs.text("system"), inputs.text("systemVersion")
        if not system and not inputs.has("inferSystem"):
            raise InvalidInput("HT-TX-01", operation=inputs.operation, names="system | inferSystem")
    parts = {"system": system, "version": version, "code": code, "display": inputs.text("display")}
    return Coded("code", "", {"coding": [{name: value for name, value in parts.items() if value}]})
