"""FHIR JSON to Python values and back, with every digit kept.

A FHIR decimal carries its precision (https://hl7.org/fhir/R4/datatypes.html#decimal): 1.50 is not 1.5.
Numbers with a point or an exponent therefore become `Decimal` and are written as they were read.
"""

from decimal import Decimal
from typing import Any, cast

import msgspec

Json = dict[str, Any]

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(body: bytes | str) -> Any:
    """Return the JSON value of `body`; raises `msgspec.DecodeError` when it is not JSON."""
    return _decoder.decode(body)


def decode_resource(body: bytes | str) -> Json:
    """Return the JSON object of `body`, known to be one because we wrote it ourselves."""
    return cast(Json, _decoder.decode(body))


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON; `Decimal` keeps its digits."""
    return _encoder.encode(value)


def encode_pretty(value: Any) -> bytes:
    """Return indented JSON for people."""
    return msgspec.json.format(_encoder.encode(value), indent=2)
