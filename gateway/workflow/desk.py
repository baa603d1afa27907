"""What the REST edge is given of the workflows: who calls, and which changes need If-Match."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.store.protocol import Version
from gateway.workflow.actor import Actor, ActorHeaders
from gateway.workflow.guarded import GuardedStore, lost_claim
from gateway.workflow.machine import machines
from gateway.workflow.packs import Packs
from gateway.workflow.sender import Senders
from gateway.workflow.signer import Signer
from gateway.workflow.task import is_ours
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, PreconditionFailed


@dataclass(frozen=True, slots=True)
class Desk:
    """`store` is the guarded store itself; `headers` name the caller, `senders` a message's; `signer` signs reports; `clock` gives the time with its offset."""

    store: GuardedStore
    headers: ActorHeaders
    clock: Callable[[], datetime]
    senders: Senders
    signer: Signer

    def actor(self, headers: Mapping[str, str], request_id: str) -> Actor:
        return self.headers.read(headers, request_id)

    def packs(self) -> Packs:
        """Return the packs in force today."""
        return self.store.shelf.at(self.clock().date())

    async def explain_claim(self, wanted: Json, current: Version | None) -> None:
        """Raise BusinessRule (HT-WF-05) when a stale change is a claim that another department won."""
        if wanted.get("resourceType") != "Task":
            return
        issue = await lost_claim(self.store, wanted, current)
        if issue is not None:
            raise BusinessRule([issue])

    @staticmethod
    def check_match(wanted: Json, current: Version | None) -> None:
        """Raise PreconditionFailed (HT-WF-13): a change of a Task needs If-Match (workflows §1.3, §3.4).

        A Task of another workflow whose status stays may be written as any resource.
        """
        if current is None or current.body is None:
            return
        machine = machines().get(current.type)
        if machine is None or not machine.needs_match:
            return
        before = decode_resource(current.body)
        if is_ours(before) or before.get(machine.element) != wanted.get(machine.element):
            raise PreconditionFailed(
                "HT-WF-13",
                reference=f"{current.type}/{current.id}",
                version=current.version,
                expression=machine.path,
            )
