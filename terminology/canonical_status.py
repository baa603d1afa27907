"""Whether what a value set builds on is deprecated, withdrawn, retired, experimental or a draft.

$validate-code reports it as information, $expand as `warning-…` parameters.
"""

from terminology.canonical import join
from terminology.concept_status import standards_status
from terminology.fhirjson import Json
from terminology.outcome import Findings
from terminology.scope import Scope


def vurl(resource: Json) -> str:
    """Return url|version of a resource."""
    return join(resource.get("url") or "", resource.get("version"))


def shown(value_set: Json) -> str:
    """Return url|version of a value set for a sentence; a contained one may have none."""
    return vurl(value_set) or "(unidentified)"


def note_status(scope: Scope, findings: Findings, resource: Json, source: Json) -> None:
    """Add an information issue when `resource`, used by the value set `source`, is in a doubtful status."""
    standing = standards_status(resource)
    values: tuple[object, ...] = (vurl(resource), "", resource.get("resourceType", ""))
    if standing in ("deprecated", "withdrawn"):
        message_id = f"MSG_{standing.upper()}"
    elif resource.get("status") == "retired":
        message_id = "MSG_RETIRED"
    elif _is_experimental(resource) and not _is_experimental(source):
        message_id = "MSG_EXPERIMENTAL"
    elif _is_draft(resource) and not _is_draft(source):
        message_id = "MSG_DRAFT_SRC_STATUS"
        values = (vurl(resource), vurl(source), values[2], source.get("status"), source.get("resourceType"))
    else:
        return
    findings.add_new(scope.issue("information", "business-rule", "status-check", message_id, *values))


def warning(resource: Json, source: Json) -> str | None:
    """Return the name of the expansion parameter that warns of a resource's status, None when it is fine."""
    standing = standards_status(resource)
    if standing in ("deprecated", "withdrawn"):
        return f"warning-{standing}" if standards_status(source) != standing else None
    if resource.get("status") == "retired":
        return "warning-retired" if source.get("status") != "retired" else None
    if _is_experimental(resource):
        return "warning-experimental" if not _is_experimental(source) else None
    if _is_draft(resource) and not _is_draft(source):
        return "warning-draft"
    return None


def _is_experimental(resource: Json) -> bool:
    return resource.get("experimental") in (True, "true")


def _is_draft(resource: Json) -> bool:
    return resource.get("status") == "draft" or standards_status(resource) == "draft"
