"""Who acts: named in a header or a body until a login names him (docs/terminology/catalogues.md)."""

from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

HEADER = "x-hutong-user"
LONGEST = 80


def person(request: Request, body: Json | None = None) -> str:
    """Return the person of a request: `X-Hutong-User`, else `who` of the JSON body or of the query.

    Raises InvalidInput HT-CAT-61 when nobody is named.
    """
    named = _decoded(request.headers.get(HEADER, "")) or (body or {}).get("who") or request.param("who") or ""
    who = str(named).strip()
    if not who or len(who) > LONGEST or not who.isprintable():
        raise InvalidInput("HT-CAT-61")
    return who


def _decoded(header: str) -> str:
    """A Chinese name arrives as UTF-8 bytes or percent-encoded, the edge read it as Latin-1."""
    from urllib.parse import unquote

    try:
        return unquote(header.encode("latin-1").decode("utf-8"))
    except UnicodeError:
        return ""
