"""The XHTML that a narrative may hold (https://hl7.org/fhir/R4/narrative.html#xhtml, txt-1 and txt-2)."""

from typing import Final
from xml.parsers import expat

XHTML: Final = "http://www.w3.org/1999/xhtml"
ELEMENT_NAMES: Final = (
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd del dfn div dl dt em h1 h2 h3 h4 "
    "h5 h6 hr i img ins kbd li map ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u "
    "ul var"
)
ATTRIBUTE_NAMES: Final = (
    "abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff charset cite class clear color colspan "
    "compact coords datetime dir frame headers height href hreflang hspace id ID ismap lang longdesc name nohref noshade "
    "nowrap rel rev rowspan rules scope shape size span src start style summary tabindex title type usemap valign value "
    "vspace width"
)
ELEMENTS: Final = frozenset(ELEMENT_NAMES.split())
ATTRIBUTES: Final = frozenset(ATTRIBUTE_NAMES.split())
# http://www.w3.org/XML/1998/namespace: xml:lang, xml:space, xml:id
XML_PREFIX: Final = "http://www.w3.org/XML/1998/namespace "
SCRIPTED: Final = ("javascript:", "vbscript:", "data:text/html")


def is_allowed_html(text: str) -> bool:
    """Tell whether a narrative is well-formed, a `div`, of allowed elements and attributes only, and not blank.

    No DTD, no entities but XML's own, no scripts or event attributes.
    """
    check = _Check()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = check.element
    parser.CharacterDataHandler = check.characters
    parser.StartDoctypeDeclHandler = check.doctype
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError:
        return False
    return check.is_allowed and check.has_content


class _Check:
    def __init__(self) -> None:
        self.is_allowed = True
        self.has_content = False
        self.is_root = True

    def element(self, name: str, attributes: dict[str, str]) -> None:
        space, _, plain = name.rpartition(" ")
        if space != XHTML or plain not in ELEMENTS or (self.is_root and plain != "div"):
            self.is_allowed = False
        self.is_root = False
        if plain == "img":
            self.has_content = True
        for key, value in attributes.items():
            folded = value.strip().lower()
            if key.startswith(XML_PREFIX):
                continue
            if key not in ATTRIBUTES or (
                key in ("href", "src", "cite", "longdesc") and folded.startswith(SCRIPTED)
            ):
                self.is_allowed = False

    def characters(self, text: str) -> None:
        if text.strip():
            self.has_content = True

    def doctype(self, *_: object) -> None:
        self.is_allowed = False
