"""Data sets of the network ↔ keywords. What a peer sends is decoded by our own reader, so no charset is taken on trust."""

from typing import Any

from mappings.dicom.elements import Walker
from mappings.dicom.syntax import encoding_of
from mappings.dicom.tree import charset_in, to_record
from terminology.fhirjson import Json


def to_keywords(stream: Any, transfer_syntax: str) -> Json:
    """Return a received data set by keywords; a sequence that is asked for as a whole is [{}].

    Raises MalformedMessage or TooLarge as the reader does.
    """
    from mappings.dicom.dictionary import vr_of

    raw = stream.getvalue() if stream is not None else b""
    encoding = encoding_of(transfer_syntax)
    elements = Walker(raw, encoding, vr_of).elements(0, len(raw)) if raw else []
    record = to_record(elements, charset_in(elements), is_little=encoding.is_little)
    asked = {element_keyword(element): element for element in elements}
    # A key without value asks for that value: it must not be lost.
    for keyword, element in asked.items():
        if keyword not in record:
            record[keyword] = [_empty_item(element.value)] if isinstance(element.value, list) else ""
        elif isinstance(element.value, list) and element.value:
            record[keyword] = [{**_empty_item(element.value), **record[keyword][0]}]
    return record


def element_keyword(element: Any) -> str:
    from mappings.dicom.dictionary import keyword_of

    return keyword_of(element.tag)


def _empty_item(items: Any) -> Json:
    """Return the keys of the first item of a sequence, nested ones too."""
    if not items:
        return {}
    return {
        element_keyword(element): [_empty_item(element.value)] if isinstance(element.value, list) else ""
        for element in items[0]
    }


def to_dataset(record: Json) -> Any:
    """Return keywords as a data set; texts in the character set that the record names."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for keyword, value in record.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            continue
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            dataset.add_new(tag, "SQ", [to_dataset(row) for row in value])
        else:
            dataset.add_new(tag, dictionary_VR(tag), value)
    return dataset
