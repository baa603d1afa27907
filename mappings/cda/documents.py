"""The document types of WS/T 483 and WS/T 500, and which of them a document is (documents.csv)."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mappings.xml.tree import Element

FAMILY = "2.16.156.10011.2.1.1."
"""The arc of the templates of the shared documents; a template elsewhere is another standard's."""
CODE_SYSTEM = "2.16.156.10011.2.4"
_PUNCTUATION = re.compile(r"[\s()（）、,，.·《》“”\"-]")


@dataclass(frozen=True)
class DocumentType:
    """`template`: its OID; `code`: C0007, HSDB04.01; `standard`: the part that defines it."""

    template: str
    standard: str
    code: str
    title_zh: str
    title_en: str
    aliases: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class Identified:
    """`by`: what told it, "template", "code" or "title"; `disagrees`: the template that says otherwise, else ""."""

    type: DocumentType
    by: str
    disagrees: str = ""


@cache
def document_types() -> tuple[DocumentType, ...]:
    with (Path(__file__).parent / "documents.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            DocumentType(
                row["template"],
                row["standard"],
                row["code"],
                row["title_zh"],
                row["title_en"],
                tuple(filter(None, row["aliases"].split(";"))),
                row["confidence"],
            )
            for row in csv.DictReader(line for line in file if not line.startswith("#"))
        )


def identify(root: Element) -> Identified | None:
    """Return the type of a document: by template, else by code, else by title; None when nothing tells it.

    Generators copy templates: where template and code name two types, the title decides, else the code, which is what
    people see.
    """
    by_template, by_code, by_title = _table()
    code_element, title_element = root.first("code"), root.first("title")
    templates = [found for one in root.all("templateId") if (found := by_template.get(one.get("root")))]
    code = by_code.get(code_element.get("code").upper()) if code_element is not None else None
    said = title_element.own_text() if title_element is not None else ""
    if not said and code_element is not None:
        said = code_element.get("displayName")
    title = by_title.get(fold(said)) if said else None
    if templates:
        if code is None or code in templates:
            return Identified(templates[0] if code is None else code, "template")
        right = title if title in (templates[0], code) and title is not None else code
        return Identified(right, "code" if right is code else "template", templates[0].template)
    if code is not None:
        return Identified(code, "code")
    return Identified(title, "title") if title is not None else None


def fold(title: str) -> str:
    """Return a title without blanks and punctuation: 门(急)诊病历 and 门（急）诊病历 are one."""
    return _PUNCTUATION.sub("", title)


@cache
def _table() -> tuple[dict[str, DocumentType], dict[str, DocumentType], dict[str, DocumentType]]:
    types = document_types()
    titles: dict[str, DocumentType] = {}
    for one in types:
        for text in (one.title_zh, *one.aliases):
            titles.setdefault(fold(text), one)
    return {one.template: one for one in types}, {one.code.upper(): one for one in types}, titles
