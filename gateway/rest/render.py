"""A response value → status, headers and bytes in the negotiated format.

A stored resource leaves as the bytes that are in the store, unparsed, unless the request wants a part of it, XML, or
indentation (docs/design.md, decision 4).
"""

from gateway.rest.negotiate import MEDIA_TYPES
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.summary import Subset, subset_of
from terminology.fhirjson import Json, decode_resource, encode, encode_pretty


def render(response: Response, request: Request) -> bytes:
    """Return the body and complete the response's Content-Type; b"" when there is nothing to say."""
    if response.content is not None:
        if response.media_type:
            response.headers["Content-Type"] = response.media_type
        return response.content
    if response.stored is None and response.resource is None:
        return b""
    response.headers["Content-Type"] = MEDIA_TYPES[request.format]
    subset = Subset() if response.status >= 300 else subset_of(request)
    pretty = wants_pretty(request)
    if request.format == "json" and not subset and not pretty:
        return response.stored if response.stored is not None else encode(response.resource)
    resource = tree(response)
    if subset:
        resource = subset.apply(resource)
    if request.format == "xml":
        from conformance.formats.xml import to_xml

        return to_xml(resource)
    return encode_pretty(resource) if pretty else encode(resource)


def tree(response: Response) -> Json:
    """Return the response's resource as a tree without raw parts."""
    return decode_resource(response.stored if response.stored is not None else encode(response.resource))


def wants_pretty(request: Request) -> bool:
    """http.html#parameters: `_pretty=true`; anything else is plain."""
    return "_pretty" in request.query and request.param("_pretty") == "true"
