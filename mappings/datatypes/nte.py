"""NTE and texts → Annotation and its text."""

from mappings.datatypes.cwe import to_code_text
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("note_text", returns="string|markdown", reads={"NTE": (3,)})
def to_note_text(segment: Segment, context: Context) -> str | None:
    """NTE-3, its repetitions as lines."""
    lines = [line for part in segment.repetitions(3) if (line := context.text(part).rstrip())]
    return "\n".join(lines) or None


@converter("text_annotation", returns="Annotation", is_cached=True)
def to_text_annotation(value: str, context: Context) -> Json | None:
    """A text field as a note."""
    text = context.text(value).strip()
    return {"text": text} if text else None


@converter("code_annotation", returns="Annotation", is_cached=True)
def to_code_annotation(value: str, context: Context) -> Json | None:
    """A coded field as a note (OBR-39): code, name."""
    parts = [part.strip() for part in context.components(value)]
    name = to_code_text(value, context)
    texts = dict.fromkeys(part for part in (parts[0], name) if part)
    return {"text": ", ".join(texts)} if texts else None
