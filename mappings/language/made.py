"""Resources that converters make on the way: the Practitioner behind an XCN, the places of a PL, the sender of an HD.

A map line such as `PV1-7[] | practitioner` gives the references; the resources themselves gather here and join the
entries of the message. They are written only when nothing is stored (`create`): a name on an order never overwrites
the full record of a doctor.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from mappings.language.result import Entry, Leaf, Rule
from terminology.fhirjson import Json


@dataclass
class Made:
    """What converters made of one message. `space`: namespace of its ids; `at`: map line and fields being converted.

    `origin`: what tells one sender from another in one channel; `calls`: every call of `make`, for cached converters.
    """

    space: str = ""
    at: tuple[str, str] = ("", "")
    entries: dict[str, Entry] = field(default_factory=dict)
    origin: str = ""
    calls: list[tuple[str, tuple[str, ...], Json]] = field(default_factory=list)
    places: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def make(self, type: str, key: tuple[str, ...], resource: Json) -> Json:
        """Return the reference to the resource of a key, adding it or what it says more than before.

        `key` starts with the identifier's system when there is one: a global one (not urn:id:…) makes the same
        resource for every sender.
        """
        self.calls.append((type, key, resource))
        is_shared = ":" in key[0] and not key[0].startswith("urn:id:")
        space = "" if is_shared else self.space
        id = _id(space, type, key)
        reference = f"{type}/{id}"
        known = self.entries.get(reference)
        if known is None:
            rule = _RULES.setdefault(
                (type, is_shared), Rule(type.lower(), type, "create", is_shared=is_shared)
            )
            self.entries[reference] = Entry({"resourceType": type, "id": id, **resource}, rule)
        else:
            known.resource = _joined(known.resource, resource)
        places = self.places.setdefault(reference, [])
        if self.at not in places:
            places.append(self.at)
        return {"reference": reference}

    def leaves(self, first: int) -> Iterator[Leaf]:
        """Yield every value of these resources with the line and fields it came from; `first`: number of their first entry."""
        for number, (reference, entry) in enumerate(self.entries.items(), first):
            places = self.places[reference]
            sources = tuple(dict.fromkeys(label for _, label in places))
            for path in _paths(entry.resource, entry.type):
                yield Leaf(number, path, places[0][0], sources)


@lru_cache(maxsize=20_000)
def _id(space: str, type: str, key: tuple[str, ...]) -> str:
    text = f"{len(space)}:{space}made/{type}/" + "".join(f"{len(part)}:{part}" for part in key)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _paths(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _paths(part, f"{path}.{name}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _paths(part, f"{path}[{index}]")
    else:
        yield path


_RULES: dict[tuple[str, bool], Rule] = {}


def _joined(known: Json, more: Json) -> Json:
    """Return `known` with what it lacks: absent elements, and items that its lists don't have."""
    made = dict(known)
    for name, value in more.items():
        old = made.get(name)
        if old is None:
            made[name] = value
        elif isinstance(old, list) and isinstance(value, list):
            made[name] = old + [item for item in value if item not in old]
    return made
