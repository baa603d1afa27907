"""The terminology operations of one server: requests in, resources out, no transport.

`Terminology` holds what outlives a request (libraries, resource caches, closures); each request gets a `Scope`.
"""

from dataclasses import dataclass

from terminology.batch_validate import batch_validate
from terminology.closure import Closures
from terminology.code_system import CodeSystem
from terminology.concept_map import translate
from terminology.expand import expand
from terminology.expansion import evaluate
from terminology.fhirjson import Json
from terminology.find_matches import find_matches
from terminology.inputs import Inputs
from terminology.issues import InvalidInput, Language
from terminology.library import KINDS, Library
from terminology.lookup import lookup
from terminology.members import Members
from terminology.memory import ConceptIndex, MemoryCodeSystem
from terminology.options import read_options
from terminology.outcome import TerminologyProblem
from terminology.related import related
from terminology.resource_cache import ResourceCache
from terminology.scope import Scope
from terminology.subsumes import subsumes
from terminology.validate_code import validate_in_code_system, validate_in_value_set
from terminology.version_list import list_versions

MAX_EXPANSION = 1_000
MAX_OWN_RESOURCES = 500

# Parameters that carry a resource which others of the request may name.
GIVEN = {
    "valueSet": "ValueSet", "thisValueSet": "ValueSet", "otherValueSet": "ValueSet", "codeSystem": "CodeSystem",
    "conceptMap": "ConceptMap",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """What a request brings besides its parameters.

    `resource`: the stored resource of an instance-level call. `limit`: the largest page of an expansion.
    """

    accept_language: str | None = None
    message_language: Language = "en"
    resource: Json | None = None
    cache_id: str | None = None
    limit: int = MAX_EXPANSION


class Terminology:
    """Every operation takes a Parameters resource and a Call and returns a resource.

    Raises `terminology.issues.FhirError` for requests that cannot be read and `TerminologyProblem` (one of them) for
    what has no answer.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.caches = ResourceCache()
        self.closures = Closures()

    def expand(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("ValueSet/$expand", parameters)
        for name in ("context", "contextDirection"):
            if inputs.has(name):
                raise InvalidInput("HT-TX-08", name=name)
        scope = self._scope(inputs, call, is_validating=False)
        return expand(scope, self._value_set(scope, inputs, call, is_validating=False))

    def members(self, parameters: Json, call: Call = Call()) -> Members:
        """Return the members of a value set as data: what `expand` would list, nothing rendered, of any number."""
        inputs = Inputs.of("ValueSet/$expand", parameters)
        scope = self._scope(inputs, call, is_validating=False)
        value_set = self._value_set(scope, inputs, call, is_validating=False)
        scope.options.see_value_set(value_set)
        scope.require_supplements(value_set)
        return evaluate(scope, value_set, scope.options.filter)

    def validate_code_in_value_set(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("ValueSet/$validate-code", parameters)
        return self._validate_in_value_set(inputs, call)

    def _validate_in_value_set(self, inputs: Inputs, call: Call) -> Json:
        scope = self._scope(inputs, call, is_validating=True)
        return validate_in_value_set(scope, self._value_set(scope, inputs, call, is_validating=True), inputs)

    def validate_code_in_code_system(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("CodeSystem/$validate-code", parameters)
        return self._validate_in_code_system(inputs, call)

    def _validate_in_code_system(self, inputs: Inputs, call: Call) -> Json:
        scope = self._scope(inputs, call, is_validating=True)
        return validate_in_code_system(scope, self._given_system(scope, inputs, call), inputs)

    def batch_validate_code(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("$batch-validate-code", parameters)

        def validate(rows: list[Json]) -> Json:
            inner = Inputs("$validate-code", rows)
            has_value_set = inner.has("url") or inner.has("valueSet")
            return (self._validate_in_value_set if has_value_set else self._validate_in_code_system)(
                inner, call
            )

        return batch_validate(inputs, validate)

    def lookup(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("CodeSystem/$lookup", parameters)
        scope = self._scope(inputs, call, is_validating=False)
        return lookup(scope, inputs, self._given_system(scope, inputs, call))

    def subsumes(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("CodeSystem/$subsumes", parameters)
        scope = self._scope(inputs, call, is_validating=False)
        return subsumes(scope, inputs, self._given_system(scope, inputs, call))

    def find_matches(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("CodeSystem/$find-matches", parameters)
        # Here `property` has parts; elsewhere it is the code of a property to return.
        shared = Inputs(inputs.operation, [row for row in inputs.rows if row["name"] != "property"])
        scope = self._scope(shared, call, is_validating=False)
        return find_matches(scope, inputs, self._given_system(scope, inputs, call))

    def translate(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("ConceptMap/$translate", parameters)
        scope = self._scope(inputs, call, is_validating=False)
        return translate(scope, inputs, call.resource)

    def related(self, parameters: Json, call: Call = Call()) -> Json:
        """Compare two value sets: `url` or `valueSet` (or the instance) with `otherUrl` or `otherValueSet`."""
        inputs = Inputs.of("ValueSet/$related", parameters)
        scope = self._scope(inputs, call, is_validating=False)
        this = self._one_of(scope, inputs, call.resource, ("valueSet", "thisValueSet"), ("url", "thisUrl"))
        other = self._one_of(scope, inputs, None, ("otherValueSet",), ("otherUrl", "other"))
        return related(scope, this, other)

    def closure(self, parameters: Json, call: Call = Call()) -> Json:
        inputs = Inputs.of("$closure", parameters)
        return self.closures.update(self._scope(inputs, call, is_validating=False), inputs)

    def versions(self, parameters: Json, call: Call = Call()) -> Json:
        """Return the versions of a code system or value set that are here."""
        inputs = Inputs.of("$versions", parameters)
        return list_versions(self._scope(inputs, call, is_validating=False), inputs)

    def _scope(self, inputs: Inputs, call: Call, *, is_validating: bool) -> Scope:
        options = read_options(
            inputs,
            accept_language=call.accept_language,
            message_language=call.message_language,
            is_validating=is_validating,
        )
        own = inputs.resources("tx-resource", KINDS)
        for name, kind in GIVEN.items():
            given = inputs.resource(name, kind)
            if given is not None and given.get("url"):
                own.append(given)
        cache_id = inputs.text("cache-id") or call.cache_id
        if cache_id:
            own = self.caches.merge(cache_id, own)
        if len(own) > MAX_OWN_RESOURCES:
            raise InvalidInput("HT-TX-12", name="tx-resource", count=len(own), limit=MAX_OWN_RESOURCES)
        scope = Scope(self.library, options, limit=call.limit)
        for resource in own:
            # Ids of passed resources mean nothing here; two of them may even be equal.
            scope.own.put({name: value for name, value in resource.items() if name != "id"})
        return scope

    @staticmethod
    def _value_set(scope: Scope, inputs: Inputs, call: Call, *, is_validating: bool) -> Json:
        given = call.resource or inputs.resource("valueSet", "ValueSet")
        if given is not None:
            return given
        url = inputs.need("url", "valueSet")
        return Terminology._named(scope, url, inputs.text("valueSetVersion"), is_validating=is_validating)

    @staticmethod
    def _one_of(
        scope: Scope, inputs: Inputs, held: Json | None, resources: tuple[str, ...], urls: tuple[str, ...]
    ) -> Json:
        """Return the value set that one of several parameters gives or names."""
        found = held or next(
            (row for name in resources if (row := inputs.resource(name, "ValueSet")) is not None), None
        )
        return found or Terminology._named(scope, inputs.need(*urls), None, is_validating=False)

    @staticmethod
    def _named(scope: Scope, url: str, version: str | None, *, is_validating: bool) -> Json:
        base, _, stated = url.partition("|")
        version = scope.version_by_rules(base, version or stated or None)
        found = scope.value_set(base, version)
        if found is not None:
            return found
        shown = f"{base}|{version}" if version else base
        issue = scope.issue("error", "not-found", "not-found", "Unable_to_resolve_value_Set_", shown)
        raise TerminologyProblem(issue, status=422 if is_validating else 404)

    @staticmethod
    def _given_system(scope: Scope, inputs: Inputs, call: Call) -> CodeSystem | None:
        """Return the code system of an instance-level call or of the codeSystem parameter."""
        given = call.resource or inputs.resource("codeSystem", "CodeSystem")
        if given is None:
            return None
        if call.resource is not None and given.get("url"):
            scope.own.put({name: value for name, value in given.items() if name != "id"})
            found = scope.code_system(given["url"], given.get("version"), by_rules=False)
            if found is not None:
                return found
        return MemoryCodeSystem(ConceptIndex(given))
