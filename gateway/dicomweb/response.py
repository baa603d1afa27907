"""An answer of DICOMweb as a value: status, headers, and a body that may be a stream."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from gateway.dicomweb.accept import DICOM_JSON
from terminology.fhirjson import encode

Body = bytes | AsyncIterator[bytes]


@dataclass
class Answer:
    status: int
    body: Body = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any, *, status: int = 200) -> Answer:
    return Answer(status, encode(value), {"Content-Type": DICOM_JSON})
