"""Who acts: an organisation, the roles that it lends, and the person.

Until access control exists the caller is told by request headers (settings), a message speaks for its sender, and
a caller who says nothing is the local operator, who may do everything and is recorded as such.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from terminology.fhirjson import Json

Channel = Literal["rest", "message", "gateway"]

ROLES: dict[str, tuple[str, str]] = {
    "ord": ("开单医师", "placer doctor"),
    "acq": ("技师", "technician"),
    "disp": ("中心调度", "centre dispatcher"),
    "read": ("阅片医师", "reader"),
    "aud": ("审核医师", "auditor"),
    "ref": ("转诊办", "referral desk"),
    "fdt": ("家庭医生团队", "family-doctor team"),
    "cat-e": ("目录编辑", "catalogue editor"),
    "cat-a": ("目录审批", "catalogue approver"),
    "ops": ("信息中心", "information centre"),
    "dev": ("厂商开发", "vendor developer"),
    "gw": ("网关", "gateway"),
    "reg": ("监管", "regulator"),
    "nurse": ("护士", "nurse"),
    "pharmacist": ("药师", "pharmacist"),
}
"""Role codes (https://hutong.health/fhir/CodeSystem/role) with their names in Chinese and English."""

CLINICAL = frozenset({"ord", "acq", "disp", "read", "aud", "ref", "fdt", "nurse", "pharmacist"})
"""What an organisation's system may do that names no role: everything clinical, nothing of the county's own."""

EVERY_ROLE = frozenset(ROLES)


@dataclass(frozen=True, slots=True)
class Actor:
    """`organization` and `practitioner` are references ("Organization/1", "PractitionerRole/2"), None where not told.

    `name` is what stands for somebody who has no resource: the local operator, the sending system of a message.
    `request_id` links Provenance, AuditEvent and the log. `message_time` orders what a message says.
    """

    organization: str | None = None
    roles: frozenset[str] = EVERY_ROLE
    practitioner: str | None = None
    channel: Channel = "rest"
    name: str = "local operator"
    request_id: str = ""

    @property
    def is_gateway(self) -> bool:
        return self.channel == "gateway"

    @property
    def is_local(self) -> bool:
        """Whether nobody is named: the operator of this gateway."""
        return self.channel == "rest" and self.organization is None and self.practitioner is None

    def may(self, roles: frozenset[str]) -> bool:
        return bool(self.roles & roles)

    def who(self) -> Json:
        """Return the Reference of Provenance.agent.who and AuditEvent.agent.who."""
        reference = self.practitioner or self.organization
        return {"reference": reference} if reference else {"display": self.name}


LOCAL = Actor()
GATEWAY = Actor(roles=frozenset({"gw"}), channel="gateway", name="gateway")

# A commit is made in many places (interactions, batch entries, operations, messages); the caller goes along with the
# task that serves him instead of through every signature. It is set once at each edge, and never below it.
_ACTING: ContextVar[Actor] = ContextVar("acting", default=LOCAL)


def acting() -> Actor:
    """Return who acts in the present task; the local operator when no edge said otherwise."""
    return _ACTING.get()


@contextmanager
def acting_as(actor: Actor) -> Iterator[Actor]:
    """Let everything within act for `actor`."""
    token = _ACTING.set(actor)
    try:
        yield actor
    finally:
        _ACTING.reset(token)


@dataclass(frozen=True, slots=True)
class ActorHeaders:
    """The names of the headers, in lower case, by which whoever terminates TLS in front names the caller."""

    organization: str = "x-hutong-organization"
    roles: str = "x-hutong-roles"
    practitioner: str = "x-hutong-practitioner"

    def read(self, headers: Mapping[str, str], request_id: str = "") -> Actor:
        """Return the caller of a request. Without an organisation and a person he is the local operator.

        Roles are separated by commas or spaces; words that are no roles count for nothing. An organisation or person
        that names no role has all clinical ones.
        """
        organization = _reference(headers.get(self.organization), "Organization")
        practitioner = _reference(headers.get(self.practitioner), "PractitionerRole")
        told = headers.get(self.roles)
        if organization is None and practitioner is None and not told:
            return Actor(request_id=request_id) if request_id else LOCAL
        roles = frozenset((told or "").replace(",", " ").split()) & EVERY_ROLE if told else CLINICAL
        return Actor(organization, roles - {"gw"}, practitioner, request_id=request_id, name="caller")


def _reference(text: str | None, type: str) -> str | None:
    value = (text or "").strip()
    if not value or len(value) > 200 or not value.isascii():
        return None
    return value if "/" in value else f"{type}/{value}"
