"""Which operations exist: a function, its OperationDefinition, and where it may be called.

A new operation is a file with an async function `(Request, Context) -> Response` and a row in `ROWS`. Functions are
imported when they are first called, so start-up stays fast. The CapabilityStatement, the OpenAPI document and the
routes are generated from these rows (https://hl7.org/fhir/R4/operations.html#executing).
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, cast

from conformance.definitions import operations as core_operations
from gateway.operations.care_definitions import (
    ACKNOWLEDGE,
    CONFIRM_CRITICAL,
    CRITICAL_REGISTER,
    DUE,
    ENROL,
    GRADE,
    SIX_ONES,
)
from gateway.operations.cda_definition import CDA
from gateway.operations.convert_definition import CONVERT
from gateway.operations.ecg_definitions import ECG_SVG, ECG_WAVEFORM
from gateway.operations.policy_definitions import (
    AUDIT_DRUG_USE,
    MY_RECORD,
    RESOLVE_HEALTH_CARD,
    TIME_POINTS,
    VERIFY_CARDS,
)
from gateway.operations.public_health_definitions import (
    DISPATCH,
    FINISH,
    FIVE_COLOURS,
    HIGH_RISK,
    PUBLIC_HEALTH_LIST,
    REPORT_CARD,
    SCORE,
)
from gateway.operations.recognition_definitions import AUDIT, DECISION, INDICATORS, RECOGNIZE, STATISTICS
from gateway.operations.referral_definitions import (
    BED_POOL,
    BOOK,
    REDIRECT,
    REFERRAL_STATISTICS,
    RELATIONS,
)
from gateway.operations.subscription_definitions import EVENTS, STATUS
from gateway.operations.terminology_definitions import (
    BATCH_VALIDATE_CODE,
    RELATED,
    TERMINOLOGY_CAPABILITIES,
    VERSIONS,
)
from gateway.operations.workflow_definitions import (
    AMEND,
    ASSIGN,
    CLAIM,
    RECALL,
    RELEASE,
    ROUTE,
    SIGN,
    VERIFY_SIGNATURE,
    WITHDRAW,
    WORKLIST,
)
from gateway.operations.workflow_definitions import STATISTICS as TASK_STATISTICS
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json

Call = Callable[[Request, Context], Awaitable[Response]]
Level = Literal["system", "type", "instance"]

CORE = "http://hl7.org/fhir/OperationDefinition/"
TERMINOLOGY = "gateway.operations.terminology"


@dataclass(frozen=True, slots=True)
class Operation:
    """`function` is "module:name" or the function itself; `definition` the URL of a core OperationDefinition or an own one.

    `types` and `levels` narrow or widen the definition where this server differs from it; they are published as such.
    GET is allowed only when the operation changes nothing (operations.html#executing); `reads_raw` = the body is no
    Parameters resource (GraphQL documents, v2 messages) and is not parsed before the call; `gives_file` = the answer is
    no resource (a picture), whatever the caller accepts.
    """

    function: str | Call
    definition: str | Json
    types: tuple[str, ...] = ()
    levels: frozenset[Level] | None = None
    affects_state: bool = False
    reads_raw: bool = False
    gives_file: bool = False
    example: Json | None = field(default=None, hash=False)

    @property
    def resource(self) -> Json:
        """The OperationDefinition."""
        return core_operations()[self.definition] if isinstance(self.definition, str) else self.definition

    @property
    def name(self) -> str:
        """The code without the dollar sign: "everything"."""
        return str(self.resource["code"])

    @property
    def resource_types(self) -> tuple[str, ...]:
        """The types it is called on; ("Resource",) means all."""
        return self.types or tuple(self.resource.get("resource", ()))

    def at(self, level: Level) -> bool:
        return level in self.levels if self.levels is not None else bool(self.resource.get(level))

    async def call(self, request: Request, context: Context) -> Response:
        function = self.function
        if isinstance(function, str):
            module, _, name = function.partition(":")
            function = cast(Call, getattr(import_module(module), name))
        return await function(request, context)


class Operations:
    """All operations of one server, found by level, resource type and name."""

    def __init__(self, rows: Iterable[Operation]) -> None:
        self._rows = tuple(rows)
        self._found: dict[tuple[Level, str, str], Operation] = {}
        for row in self._rows:
            levels: tuple[Level, ...] = ("system", "type", "instance")
            for level in levels:
                if row.at(level):
                    for resource_type in ("",) if level == "system" else row.resource_types:
                        self._found[level, resource_type, row.name] = row

        self._files = frozenset(f"${row.name}" for row in self._rows if row.gives_file)

    def gives_file(self, path: str) -> bool:
        """Tell whether a path calls an operation that answers with a file of its own media type."""
        return path.rpartition("/")[2] in self._files

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._rows)

    def find(self, level: Level, resource_type: str, name: str) -> Operation | None:
        """Return the operation called `name` (without "$") at a level of a resource type ("" at system level)."""
        own = self._found.get((level, resource_type, name))
        return own or (self._found.get((level, "Resource", name)) if level != "system" else None)

    def names(self, level: Level, resource_type: str) -> list[str]:
        """Return the names that can be called there, for answers that tell what exists."""
        kinds = {resource_type, "Resource"} if level != "system" else {""}
        return sorted({name for place, kind, name in self._found if place == level and kind in kinds})


# One row an operation; functions are imported on first call.
ROWS: tuple[Operation, ...] = (
    Operation("gateway.operations.convert:convert", CONVERT, reads_raw=True),
    Operation("gateway.operations.cda:cda", CDA, gives_file=True),
    Operation("gateway.operations.ecg:svg", ECG_SVG, gives_file=True),
    Operation("gateway.operations.ecg:waveform", ECG_WAVEFORM),
    Operation(
        "gateway.operations.everything:patient", f"{CORE}Patient-everything", levels=frozenset({"instance"})
    ),
    Operation("gateway.operations.everything:encounter", f"{CORE}Encounter-everything"),
    Operation("gateway.operations.everything:group", f"{CORE}Group-everything"),
    Operation("gateway.operations.document:document", f"{CORE}Composition-document"),
    Operation("gateway.operations.lastn:lastn", f"{CORE}Observation-lastn"),
    Operation("gateway.operations.match:match", f"{CORE}Patient-match"),
    Operation("gateway.operations.meta:meta", f"{CORE}Resource-meta", levels=frozenset({"instance"})),
    Operation("gateway.operations.meta:meta_add", f"{CORE}Resource-meta-add", affects_state=True),
    Operation("gateway.operations.meta:meta_delete", f"{CORE}Resource-meta-delete", affects_state=True),
    Operation("gateway.operations.validate:validate", f"{CORE}Resource-validate", reads_raw=True),
    Operation("gateway.operations.graphql:graphql", f"{CORE}Resource-graphql", reads_raw=True),
    Operation("gateway.operations.recognize:recognize_items", RECOGNIZE),
    Operation("gateway.operations.chronic_care:enrol", ENROL, affects_state=True),
    Operation("gateway.operations.chronic_care:grade", GRADE, affects_state=True),
    Operation("gateway.operations.chronic_care:ones", SIX_ONES),
    Operation("gateway.operations.chronic_care:due", DUE),
    Operation("gateway.operations.drug_use_audit:audit", AUDIT_DRUG_USE),
    Operation("gateway.operations.health_card:resolve", RESOLVE_HEALTH_CARD),
    Operation("gateway.operations.my_record:my_record", MY_RECORD),
    Operation("gateway.operations.time_points:time_points", TIME_POINTS),
    Operation("gateway.operations.two_cards:verify", VERIFY_CARDS, affects_state=True),
    Operation("gateway.operations.critical_values:acknowledge", ACKNOWLEDGE, affects_state=True),
    Operation("gateway.operations.critical_values:confirm", CONFIRM_CRITICAL, affects_state=True),
    Operation("gateway.operations.critical_values:critical_register", CRITICAL_REGISTER),
    Operation("gateway.operations.recognition_decision:decide", DECISION, affects_state=True),
    Operation("gateway.operations.evaluate_measure:evaluate", STATISTICS),
    Operation("gateway.operations.evaluate_measure:indicators", INDICATORS),
    Operation("gateway.operations.public_health:task_list", PUBLIC_HEALTH_LIST),
    Operation("gateway.operations.public_health:report_card", REPORT_CARD, affects_state=True),
    Operation("gateway.operations.public_health:finish_task", FINISH, affects_state=True),
    Operation("gateway.operations.public_health:five_colours", FIVE_COLOURS, affects_state=True),
    Operation("gateway.operations.public_health:high_risk", HIGH_RISK),
    Operation("gateway.operations.home_care:score", SCORE, affects_state=True),
    Operation("gateway.operations.home_care:dispatch", DISPATCH, affects_state=True),
    Operation("gateway.operations.recognition_audit:audit", AUDIT),
    Operation("gateway.operations.claim:claim", CLAIM, affects_state=True),
    Operation("gateway.operations.claim:release", RELEASE, affects_state=True),
    Operation("gateway.operations.claim:assign", ASSIGN, affects_state=True),
    Operation("gateway.operations.worklist:worklist", WORKLIST),
    Operation("gateway.operations.sign:sign", SIGN, affects_state=True),
    Operation("gateway.operations.sign:amend", AMEND, affects_state=True),
    Operation("gateway.operations.sign:withdraw", WITHDRAW, affects_state=True),
    Operation("gateway.operations.sign:verify_signature", VERIFY_SIGNATURE),
    Operation("gateway.operations.recall:recall_result", RECALL, affects_state=True),
    Operation("gateway.operations.route_order:route", ROUTE, affects_state=True),
    Operation("gateway.operations.referral:redirect", REDIRECT, affects_state=True),
    Operation("gateway.operations.referral:relations", RELATIONS),
    Operation("gateway.operations.booking:book", BOOK, affects_state=True),
    Operation("gateway.operations.booking:bed_pool", BED_POOL),
    Operation("gateway.operations.referral_statistics:statistics", REFERRAL_STATISTICS),
    Operation("gateway.operations.task_statistics:statistics", TASK_STATISTICS),
    Operation("gateway.operations.subscription:status", STATUS),
    Operation("gateway.operations.subscription:events", EVENTS),
    Operation(f"{TERMINOLOGY}:expand", f"{CORE}ValueSet-expand"),
    Operation(f"{TERMINOLOGY}:validate_code", f"{CORE}ValueSet-validate-code"),
    Operation(f"{TERMINOLOGY}:validate_code", f"{CORE}CodeSystem-validate-code"),
    Operation(f"{TERMINOLOGY}:lookup", f"{CORE}CodeSystem-lookup", levels=frozenset({"type", "instance"})),
    Operation(f"{TERMINOLOGY}:subsumes", f"{CORE}CodeSystem-subsumes"),
    Operation(f"{TERMINOLOGY}:find_matches", f"{CORE}CodeSystem-find-matches"),
    Operation(f"{TERMINOLOGY}:translate", f"{CORE}ConceptMap-translate"),
    Operation(
        f"{TERMINOLOGY}:closure",
        f"{CORE}ConceptMap-closure",
        levels=frozenset({"system", "type"}),
        affects_state=True,
    ),
    Operation("gateway.operations.preferred_id:preferred_id", f"{CORE}NamingSystem-preferred-id"),
    Operation(f"{TERMINOLOGY}:batch_validate_code", BATCH_VALIDATE_CODE),
    Operation(f"{TERMINOLOGY}:related", RELATED),
    Operation(f"{TERMINOLOGY}:versions", VERSIONS),
    Operation(f"{TERMINOLOGY}:capabilities", TERMINOLOGY_CAPABILITIES),
)
