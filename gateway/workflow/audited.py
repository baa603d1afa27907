"""The audit row of an operation that reads or changes something personal: who, about whom, what came of it.

https://hl7.org/fhir/R4/auditevent.html
"""

from datetime import datetime
from typing import Literal

from gateway.workflow.actor import acting
from terminology.fhirjson import Json


def operation_audit(
    about: str,
    text: str,
    *,
    action: Literal["E", "R", "U"],
    now: datetime,
    is_refused: bool = False,
    who: str = "",
) -> Json:
    """Return an AuditEvent without id. `about`: a reference, "" when it could not be found out; `who`: instead of the caller."""
    actor = acting()
    return {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}],
        "action": action,
        "recorded": now.isoformat(timespec="milliseconds"),
        "outcome": "4" if is_refused else "0",
        "agent": [{"who": {"reference": who} if who else actor.who(), "requestor": True}],
        "source": {"observer": {"display": "hutong"}},
        "entity": [{"what": {"reference": about} if about else {"display": "unknown"}, "description": text}],
    }
