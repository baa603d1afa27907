"""Large attachments leave the row: a Binary of their own holds the bytes, the Attachment names it by URL.

https://hl7.org/fhir/R4/datatypes.html#Attachment: `data` and `url` are two ways to give the same content, and `size`
and `hash` describe it. A DocumentReference with a 20 MB scan stays small in searches and history; the file is read
with Range requests at Binary/[id].
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import replace

from conformance.definitions import children
from gateway.rest.context import Context
from gateway.store.protocol import Put
from terminology.fhirjson import Json


def with_attachments(put: Put, context: Context, *, size: int) -> list[Put]:
    """Return the change itself and one Binary for each large attachment of it; mostly the change alone.

    `size` of the request's body: a small one can't hold a large attachment and isn't searched.

    The Binary's id is made of its owner and content, so that writing the same again stores nothing new.
    """
    limit = context.limits.inline_attachment_bytes
    if size <= limit or put.resource["resourceType"] == "Binary" or not any(_large(put.resource, limit)):
        return [put]
    owner = f"{put.resource['resourceType']}/{put.resource['id']}"
    binaries: list[Put] = []
    resource = _moved(put.resource, put.resource["resourceType"], owner, limit, binaries)
    return [replace(put, resource=resource), *binaries]


def _large(resource: Json, limit: int) -> Iterator[Json]:
    """Yield objects with a long `data` string, wherever they are."""
    stack: list[object] = [resource]
    while stack:
        node = stack.pop()
        if type(node) is dict:
            data = node.get("data")
            if type(data) is str and len(data) > limit:
                yield node
            stack.extend(value for value in node.values() if type(value) is dict or type(value) is list)
        elif type(node) is list:
            stack.extend(value for value in node if type(value) is dict or type(value) is list)


def _moved(node: Json, path: str, owner: str, limit: int, binaries: list[Put]) -> Json:
    """Return a copy of the tree in which Attachments with large data have a URL instead."""
    fresh: Json = {}
    described = children(path)
    for key, value in node.items():
        child = described.get(key)
        if child is None:
            fresh[key] = value
            continue
        where = child.path

        def move(item: object, where: str = where) -> object:
            if not isinstance(item, dict):
                return item
            if where == "Attachment" and isinstance(item.get("data"), str) and len(item["data"]) > limit:
                return _external(item, owner, binaries)
            return _moved(item, str(item.get("resourceType", where)), owner, limit, binaries)

        fresh[key] = [move(item) for item in value] if isinstance(value, list) else move(value)
    return fresh


def _external(attachment: Json, owner: str, binaries: list[Put]) -> Json:
    try:
        content = base64.b64decode(attachment["data"], validate=True)
    except (ValueError, binascii.Error):
        return attachment
    id = hashlib.sha256(owner.encode() + b"\0" + content).hexdigest()[:40]
    binary: Json = {
        "resourceType": "Binary",
        "id": id,
        "contentType": attachment.get("contentType", "application/octet-stream"),
        "securityContext": {"reference": owner},
        "data": attachment["data"],
    }
    binaries.append(Put(binary, unless_same=True))
    rest = {key: value for key, value in attachment.items() if key != "data"}
    return rest | {
        "url": f"Binary/{id}",
        "size": len(content),
        # datatypes.html#Attachment: the hash of the data is SHA-1 in Base64.
        "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
    }
