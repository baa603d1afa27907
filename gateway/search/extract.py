"""From a resource to everything it can be found by: all search parameters of its type in one walk.

https://hl7.org/fhir/R4/search.html#basic (types), https://hl7.org/fhir/R4/searchparameter.html
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from conformance.definitions import Child, required_codes
from gateway.search import date, quantity, reference, string, token, uri
from gateway.search.path import Emit
from gateway.search.values import DateValue, Index, QuantityValue, StringValue, TokenValue
from terminology.hanzi import fold

TEXT_LIMIT = 1_000
"""Characters of one text that string parameters compare; longer ones are found by their beginning (and `_content`)."""

STRING_READERS: dict[str, Callable[[Any], Iterator[str]]] = {
    "HumanName": string.read_human_name,
    "HumanName.family": string.read_family,
    "HumanName.given": string.read_given,
    "Address": string.read_address,
    "CodeableConcept": string.read_concept,
}
TEXTS = ("string", "markdown", "code", "uri", "url", "id", "canonical", "oid", "uuid")

TOKEN_READERS: dict[str, Callable[[Any], Iterator[token.Row]]] = {
    "Coding": token.read_coding,
    "CodeableConcept": token.read_concept,
    "Identifier": token.read_identifier,
    "ContactPoint": token.read_contact,
    "boolean": token.read_boolean,
}

DATE_READERS: dict[str, Callable[[Any, int], Iterator[tuple[int, int]]]] = {
    "date": date.read_date,
    "dateTime": date.read_date,
    "instant": date.read_date,
    "Period": date.read_period,
    "Timing": date.read_timing,
}

QUANTITY_READERS: dict[str, Callable[[Any], Iterator[tuple[float, float, str, str, str]]]] = {
    "Quantity": quantity.read_quantity,
    "Age": quantity.read_quantity,
    "Count": quantity.read_quantity,
    "Distance": quantity.read_quantity,
    "Duration": quantity.read_quantity,
    "SimpleQuantity": quantity.read_quantity,
    "Money": quantity.read_money,
    "Range": quantity.read_range,
    "SampledData": quantity.read_sampled,
    "integer": quantity.read_number,
    "positiveInt": quantity.read_number,
    "unsignedInt": quantity.read_number,
    "decimal": quantity.read_number,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What extraction and parsing must agree on: the zone of dates without one, and the URLs of this server."""

    offset_minutes: int = 480
    bases: tuple[str, ...] = ()


def emitter(kind: str, path: str, child: Child, options: Options) -> Emit | None:
    """Return the function that appends the values of an element for a parameter of type `kind`."""
    build = EMITTERS.get(kind)
    return build(path, child, options) if build is not None else None


def _strings(path: str, child: Child, _options: Options) -> Emit | None:
    read = STRING_READERS.get(child.type) or (string.read_text if child.type in TEXTS else None)
    if read is None:
        return None

    def emit(value: Any, n: int, index: Index) -> None:
        for text in read(value):
            text = text[:TEXT_LIMIT]
            index.strings.append(StringValue(path, fold(text), text, n))

    return emit


def _pinyin(path: str, child: Child, _options: Options) -> Emit | None:
    if child.type not in ("HumanName", "string"):
        return None

    def emit(value: Any, n: int, index: Index) -> None:
        for text in string.read_pinyin(value):
            index.strings.append(StringValue(path, text, text, n))

    return emit


def _tokens(path: str, child: Child, _options: Options) -> Emit | None:
    read = TOKEN_READERS.get(child.type)
    if read is not None:
        is_identifier = child.type == "Identifier"
        typed = path + token.OF_TYPE

        def emit(value: Any, n: int, index: Index) -> None:
            for system, code, display in read(value):
                index.tokens.append(TokenValue(path, system, code, display, n))
            if is_identifier:
                for system, code, _ in token.read_of_type(value):
                    index.tokens.append(TokenValue(typed, system, code, "", n))

        return emit
    if child.type not in TEXTS:
        return None
    systems = _systems(child)

    def emit_code(value: Any, n: int, index: Index) -> None:
        if isinstance(value, str) and value:
            index.tokens.append(TokenValue(path, systems.get(value, ""), fold(value), "", n))

    return emit_code


def _systems(child: Child) -> dict[str, str]:
    """The system of each code of a `code` element, by its required binding: gender=http://…/administrative-gender|male."""
    binding = child.element.binding
    if child.type != "code" or binding is None or binding.strength != "required":
        return {}
    known = required_codes(binding.value_set) or {}
    return {code: system for system, codes in known.items() for code in codes}


def _uris(path: str, child: Child, _options: Options) -> Emit | None:
    if child.type not in ("uri", "url", "canonical", "oid", "uuid", "string"):
        return None

    def emit(value: Any, n: int, index: Index) -> None:
        for row in uri.read_uri(value):
            index.tokens.append(TokenValue(path, row[0], row[1], row[2], n))

    return emit


def _references(path: str, child: Child, options: Options) -> Emit | None:
    bases = options.bases
    if child.type == "Reference":
        identified = path + reference.IDENTIFIER

        def emit(value: Any, n: int, index: Index) -> None:
            for row in reference.read_reference(value, bases):
                index.tokens.append(TokenValue(path, row[0], row[1], "", n))
            if isinstance(value, dict) and "identifier" in value:
                for row in token.read_identifier(value["identifier"]):
                    index.tokens.append(TokenValue(identified, row[0], row[1], row[2], n))

        return emit
    if child.type in ("canonical", "uri", "url", "oid", "uuid"):
        read = reference.read_canonical
    elif child.type == "Resource":
        read = reference.read_resource
    else:
        return None

    def emit_canonical(value: Any, n: int, index: Index) -> None:
        for row in read(value):
            index.tokens.append(TokenValue(path, row[0], row[1], "", n))

    return emit_canonical


def _dates(path: str, child: Child, options: Options) -> Emit | None:
    read = DATE_READERS.get(child.type)
    if read is None:
        return None
    offset = options.offset_minutes

    def emit(value: Any, n: int, index: Index) -> None:
        for low, high in read(value, offset):
            index.dates.append(DateValue(path, low, high, n))

    return emit


def _quantities(path: str, child: Child, _options: Options) -> Emit | None:
    read = QUANTITY_READERS.get(child.type)
    if read is None:
        return None

    def emit(value: Any, n: int, index: Index) -> None:
        for low, high, system, code, unit in read(value):
            base_low, base_high, base = quantity.base_value(low, high, system, code)
            index.quantities.append(
                QuantityValue(path, low, high, system, code, unit, base_low, base_high, base, n)
            )

    return emit


def _position(path: str, _child: Child, _options: Options) -> Emit | None:
    def emit(value: Any, n: int, index: Index) -> None:
        if isinstance(value, dict):
            for part in ("latitude", "longitude"):
                for low, high, *_ in quantity.read_number(value.get(part)):
                    index.quantities.append(QuantityValue(f"{path}.{part}", low, high, n=n))

    return emit


EMITTERS: dict[str, Callable[[str, Child, Options], Emit | None]] = {
    "string": _strings,
    "pinyin": _pinyin,
    "token": _tokens,
    "uri": _uris,
    "reference": _references,
    "date": _dates,
    "quantity": _quantities,
    "number": _quantities,
    "special": _position,
}
