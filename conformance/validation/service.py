"""The validator's questions, answered by the gateway's terminology service.

R4's own code systems and what the registry was given answer first, because they are at hand; the service knows the rest:
catalogues, maps of versions, supplements.
"""

from conformance.validation.codes import CoreTerminology
from terminology.fhirjson import Json
from terminology.issues import FhirError
from terminology.service import Call
from terminology.service import Terminology as Service


class ServiceTerminology:
    """See `codes.Terminology` for the questions. `core` answers for R4 and the registry, `service` for everything else."""

    def __init__(self, service: Service, core: CoreTerminology) -> None:
        self._service = service
        self._core = core

    def knows(self, system: str, code: str) -> bool | None:
        answer = self._core.knows(system, code)
        if answer is not None:
            return answer
        found = self._service.library.code_system(system, None)
        if found is None:
            return None
        if found.locate(code) is not None:
            return True
        return False if found.content == "complete" else None

    def displays(self, system: str, code: str) -> frozenset[str] | None:
        names = self._core.displays(system, code)
        if names is not None:
            return names
        found = self._service.library.code_system(system, None)
        ordinal = found.locate(code) if found is not None else None
        if found is None or ordinal is None:
            return None
        return frozenset(row.value for row in found.designations(ordinal))

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        answer = self._core.member_of(value_set, system, code)
        return answer if answer is not None else self._ask(value_set, system, code)

    def _ask(self, value_set: str, system: str | None, code: str) -> bool | None:
        url, _, version = value_set.partition("|")
        rows: list[Json] = [{"name": "url", "valueUri": url}, {"name": "code", "valueCode": code}]
        rows.append(
            {"name": "system", "valueUri": system}
            if system
            else {"name": "inferSystem", "valueBoolean": True}
        )
        if version:
            rows.append({"name": "valueSetVersion", "valueString": version})
        try:
            found = self._service.validate_code_in_value_set(
                {"resourceType": "Parameters", "parameter": rows}, Call()
            )
        except FhirError:
            return None  # an unknown value set, or one that cannot be evaluated
        parameters = {row["name"]: row for row in found["parameter"]}
        if parameters["result"]["valueBoolean"]:
            return True
        # An unknown code system decides nothing; only "not in the value set" does.
        issues = parameters.get("issues", {}).get("resource", {}).get("issue", [])
        kinds = {coding.get("code") for row in issues for coding in row.get("details", {}).get("coding", ())}
        return False if "not-in-vs" in kinds else None
