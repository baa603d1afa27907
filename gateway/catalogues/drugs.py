"""Who may prescribe which drug, over HTTP: tiers, and the members' exceptions (docs/terminology/drugs.md)."""

from gateway.catalogues.authoring import Catalogue
from gateway.catalogues.deviations import availability, shown, value_set
from gateway.catalogues.person import person
from gateway.catalogues.place import Office
from gateway.catalogues.request import choice, needed, read_json, text, whole
from gateway.channels.part import Reply, json_reply
from gateway.rest.request import Request
from gateway.store.protocol import Commit, Delete, Put
from terminology.catalogue.row import Row
from terminology.drug.tiers import TIERS
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound

REVIEWS = ("approve", "reject")


def read_deviations(office: Office, catalogue: Catalogue, request: Request) -> Reply:
    rows = office.catalogues.deviations.all(catalogue.id, request.param("member"))
    return json_reply({"deviations": [shown(row) for row in rows]})


def propose(office: Office, catalogue: Catalogue, request: Request, body: bytes) -> Reply:
    """Take `{"who", "member", "tier", "code", "available", "reason"}`."""
    asked = read_json(body)
    available = asked.get("available")
    if not isinstance(available, bool):
        raise InvalidInput("HT-CAT-62", name="available", value=str(available)[:40], expected="true | false")
    code = text(asked, "code") or ""
    found = office.catalogues.deviations.propose(
        catalogue.id,
        _row(office, catalogue, code),
        member=text(asked, "member") or "",
        tier=text(asked, "tier") or "",
        code=code,
        available=available,
        reason=text(asked, "reason") or "",
        who=person(request, asked),
    )
    return json_reply(shown(found), status=201)


def review(office: Office, number: str, step: str, request: Request, body: bytes) -> tuple[Json, Commit]:
    """Decide about an exception; returns it, and the member's value set to be stored or removed."""
    deviations = office.catalogues.deviations
    who = person(request, read_json(body))
    decided = deviations.review(whole("deviation", number), who=who, approve=step == "approve")
    in_force = deviations.in_force(decided.catalogue, decided.member)
    if not in_force:
        return shown(decided), Commit([Delete("ValueSet", f"{decided.catalogue}-{decided.member}")])
    resource = value_set(decided.catalogue, office.catalogues.get(decided.catalogue).url, in_force)
    return shown(decided), Commit([Put(resource, unless_same=True)])


def available(office: Office, catalogue: Catalogue, request: Request) -> Reply:
    """Answer `?tier=village&code=HT0001[&member=h1]`."""
    tier = choice(request, "tier", TIERS, "")
    code, member = needed(request, "code"), request.param("member")
    row = _row(office, catalogue, code)
    if row is None:
        raise NotFound("HT-CAT-68", concept=code[:80], catalogue=catalogue.id)
    exemptions = office.catalogues.deviations.in_force(catalogue.id, member) if member else []
    answer = availability(row, tier=tier, member=member, exemptions=exemptions)  # type: ignore[arg-type]  # one of TIERS
    replaced = _replacements(office, catalogue, row)
    return json_reply(answer | ({"replaced_by": replaced} if replaced else {}))


def _row(office: Office, catalogue: Catalogue, code: str) -> Row | None:
    version = office.catalogues.in_force(catalogue.id, office.today())
    return office.catalogues.row(catalogue.id, version.number, code) if version else None


def _replacements(office: Office, catalogue: Catalogue, row: Row) -> list[str]:
    """Return what took the place of a drug, and of that, to the one that is used now."""
    found: list[str] = []
    following: Row | None = row
    while following is not None:
        after = following.properties.get("replaced-by")
        if not isinstance(after, str) or not after or after in found:
            break
        found.append(after)
        following = _row(office, catalogue, after)
    return found
