"""ClaML 2.0, the XML form of WHO classifications (EN 14463): chapters, blocks, categories."""

from collections.abc import Mapping
from typing import Any

from lxml import etree

from terminology.catalogue.row import Name, Row, Table
from terminology.issues import InvalidInput


def read(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the classes of a ClaML file; `columns["language"]` picks labels when there are several languages."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
    if etree.QName(root).localname != "ClaML":
        raise InvalidInput("HT-CAT-19", root=etree.QName(root).localname)
    language = columns.get("language")
    rows = []
    for element in root.iter("{*}Class"):
        labels = _labels(element, language)
        preferred = labels.get("preferred") or labels.get("preferredLong") or [element.get("code", "")]
        rows.append(
            Row(
                code=element.get("code", ""),
                display=preferred[0],
                parents=tuple(parent.get("code", "") for parent in element.findall("{*}SuperClass")),
                names=tuple(
                    Name(text, language or "", kind)
                    for kind in ("preferredLong", "inclusion")
                    for text in labels.get(kind, ())
                    if text != preferred[0]
                ),
                properties={"kind": element.get("kind", "")}
                | ({"usage": element.get("usage")} if element.get("usage") else {}),
                definition=next(iter(labels.get("definition", ())), None),
            )
        )
    return Table(tuple(rows))


def _labels(element: Any, language: str | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rubric in element.findall("{*}Rubric"):
        for label in rubric.findall("{*}Label"):
            if (
                language is None
                or label.get("{http://www.w3.org/XML/1998/namespace}lang", language) == language
            ):
                text = " ".join("".join(label.itertext()).split())
                if text:
                    found.setdefault(rubric.get("kind", ""), []).append(text)
    return found
