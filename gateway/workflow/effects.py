"""The table of effects: what a change sets in motion, by the name that machines use.

A function `async (Move) → None`. It may fill in `move.after`, write other resources with `move.draft.put` and
`create`, tell others with `move.draft.tell`, refuse with BusinessRule, or raise StepFirst. Imported when first needed.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib import import_module

from gateway.workflow.draft import Move

Effect = Callable[[Move], Awaitable[None]]

EFFECTS: dict[str, str] = {
    # Task
    "announce-task": "task:announce",
    "keep-task": "task:keep",
    "task-times": "task:times",
    "task-status": "task:tell_status",
    "cancel-rivals": "task:cancel_rivals",
    "accept-parent": "work:accept_parent",
    "open-verification": "work:open_verification",
    "cancel-work": "work:cancel_work",
    "ask-placer": "task:ask_placer",
    "answer-question": "task:answer_question",
    "pause-clock": "task:pause_clock",
    "resume-clock": "task:resume_clock",
    "revoke-order": "order:revoke",
    "complete-order": "order:complete",
    "finish-abort": "abort:finish",
    "close-abort": "abort:close",
    # ServiceRequest
    "route-order": "order:route",
    "placer-only": "order:placer_only",
    "no-open-task": "order:no_open_task",
    "hold-task": "order:hold_task",
    "resume-task": "order:resume_task",
    "cancel-task": "order:cancel_task",
    # What comes in about an order
    "report-progress": "progress:report",
    "observation-progress": "progress:observation",
    "study-progress": "progress:study",
    "specimen-progress": "progress:specimen",
    "document-progress": "progress:document",
    "appointment-progress": "visit:appointment",
    "encounter-progress": "visit:encounter",
    # Referral
    "check-referral": "gateway.referral.check:check",
    "referral-status": "gateway.referral.progress:tell",
    "referral-appointment": "gateway.referral.progress:appointment",
    "slots": "gateway.referral.numbers:slots",
    "release-bed": "gateway.referral.beds:release",
    "referral-encounter": "gateway.referral.progress:encounter",
    "referral-document": "gateway.referral.progress:document",
    "home-follow-up": "gateway.referral.progress:follow_up",
    # What others saw
    "correct-readers": "correction:tell_readers",
    # Chronic care
    "check-prescription": "prescription:check",
    "check-drug-use": "drug_use:check_prescription",
    "check-online-visit": "online_visit:check",
    "check-time-points": "time_points:check",
    "emergency-alert": "emergency:alert",
    "push-result": "patient_push:push",
    "check-contract": "contract:check",
    "begin-contract": "contract:begin",
    "check-dual-prescription": "dual_prescription:check",
    # CarePlan
    "activity-states": "activity:states",
}


@cache
def effect(name: str) -> Effect:
    """Return the function of an effect; KeyError for a name that the table lacks."""
    module, _, function = EFFECTS[name].partition(":")
    found: Effect = getattr(
        import_module(module if "." in module else f"gateway.workflow.{module}"), function
    )
    return found
