"""Who may refer to whom: by the levels of both organisations (workflows W6: relation table)."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.referral.order import extension
from gateway.workflow.draft import codes_of
from terminology.fhirjson import Json


def level_of(organization: Json | None, rules: Mapping[str, Any]) -> int | None:
    """Return the level of an organisation, None when it tells neither a known type nor a level."""
    if organization is None:
        return None
    graded = rules["institution_levels"].get(str(extension(organization, "institution-level")))
    if graded is not None:
        return int(graded)
    known = [
        int(rules["levels"][code]) for code in codes_of(organization.get("type")) if code in rules["levels"]
    ]
    return max(known, default=None)


def directions(sender: int | None, receiver: int | None, rules: Mapping[str, Any]) -> Sequence[str]:
    """Return which ways a referral between two levels may go; both where a level is not known."""
    if sender is None or receiver is None:
        return ("up", "down")
    kind = "same" if sender == receiver else "lower-upper" if sender < receiver else "upper-lower"
    found: Sequence[str] = rules["relations"].get(kind) or ()
    return found


def is_paired(sender: str, receiver: str, rules: Mapping[str, Any]) -> bool:
    """Whether the county's own list of pairs, if it has one, holds these two."""
    pairs = rules.get("pairs") or ()
    return not pairs or any((row["from"], row["to"]) == (sender, receiver) for row in pairs)


def relation_table(organizations: Sequence[Json], rules: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (from, to, direction) for all pairs whose levels are known, as the rules generate it."""
    known = [(row, level) for row in organizations if (level := level_of(row, rules)) is not None]
    return [
        (f"Organization/{one['id']}", f"Organization/{other['id']}", way)
        for one, low in known
        for other, high in known
        if one["id"] != other["id"]
        and is_paired(f"Organization/{one['id']}", f"Organization/{other['id']}", rules)
        for way in directions(low, high, rules)
    ]
