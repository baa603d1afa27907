"""What a query asks for: the parameters of `queryByParameter`, of the document services, of the regional platform.

Every parameter is an element that holds `<value …>`; its name tells what it is, and senders name them in many ways, so
they are read by the kind of their value and the words in their name.
"""

from dataclasses import dataclass

from mappings.datatypes.v3_ii import system_of
from mappings.datatypes.v3_ts import text_of
from mappings.hl7v3.render import GENDERS
from mappings.identifiers.kinds import KINDS
from mappings.language.converters import Context
from mappings.xml.tree import Element

MOST = 20
_PERSON = ("patient", "livingsubject", "subjectid", "person", "healthcard", "identity", "idcard", "resident")
_AGENT = (
    "provider", "doctor", "physician", "practitioner", "staff", "employee", "consultant", "performer",
    "organization", "organisation", "orgid", "orgcode", "dept", "department", "location", "ward",
)  # fmt: skip
_DOCUMENT_FIELDS = {
    "IdentityId": "resident",
    "HealthCardId": "health-card",
    "SourcePatientID": "",
    "PatientID": "",
    "PatientId": "",
}


_DOCUMENT_NAMES = frozenset(
    name.casefold() for name in (*_DOCUMENT_FIELDS, "DocumentUniqueId", "DocumentTitle")
)
HEADER = frozenset(
    [
        "id",
        "creationtime",
        "sender",
        "receiver",
        "interactionid",
        "processingcode",
        "processingmodecode",
        "acceptackcode",
        "versioncode",
        "requestperson",
        "requestorganization",
        "requestorgcode",
        "messageid",
        "author",
    ]
)
_RESIDENT = frozenset({"idcardno", "idcard", "residentidcard", "personidcard"})


@dataclass(frozen=True, slots=True)
class Question:
    """`people`, `agents`, `things`: (system or None, number) of a patient, of who works there, of what is asked for.

    The others are as sent.
    """

    people: tuple[tuple[str | None, str], ...] = ()
    things: tuple[tuple[str | None, str], ...] = ()
    agents: tuple[tuple[str | None, str], ...] = ()
    name: str = ""
    birth: str = ""
    gender: str = ""
    codes: tuple[str, ...] = ()
    title: str = ""
    since: str = ""
    until: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.people or self.things or self.agents or self.name or self.codes)


def read_question(root: Element, context: Context) -> Question:
    """Return what is asked; a query without any parameter asks for nothing."""
    asked = _Asked(context)
    holder = root.down("controlActProcess", "queryByParameter") or root
    for element in holder.walk():
        if element.name in _DOCUMENT_FIELDS and element.own_text():
            kind = KINDS.get(_DOCUMENT_FIELDS[element.name])
            asked.people.append((kind.system if kind else None, element.own_text()))
        elif element.name == "DocumentUniqueId" and element.own_text():
            asked.things.append((None, element.own_text()))
        elif element.name in ("DocumentTitle", "Title") and element.own_text():
            asked.title = element.own_text()
        for value in element.all("value"):
            asked.take(element.name, value)
        if holder is root:
            asked.take_field(element, root)
        is_header = holder is root and (is_inside(element, HEADER) or element.parent is root)
        if element.name in ("id", "patientId") and element.parent is not None and not is_header:
            asked.take_id(element)
    return asked.question()


class _Asked:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.people: list[tuple[str | None, str]] = []
        self.things: list[tuple[str | None, str]] = []
        self.agents: list[tuple[str | None, str]] = []
        self.codes: list[str] = []
        self.name = self.birth = self.gender = self.title = self.since = self.until = ""

    def take(self, name: str, value: Element) -> None:
        words = name.casefold()
        for item in value.all("item") or [value]:
            extension = item.get("extension")
            said = item.get("value") or item.get("code") or item.content()
            if extension:
                self._number(words, item.get("root"), extension)
            elif "birth" in words:
                self.birth = text_of(item)[:8]
            elif "gender" in words or "sex" in words:
                self.gender = item.get("code") or said
            elif "name" in words and said:
                self.name = said
            elif "time" in words or "date" in words:
                low, high = value.first("low"), value.first("high")
                self.since = low.own_text() if low is not None else self.since
                self.until = high.own_text() if high is not None else self.until
            elif said and "id" in words:
                self._number(words, "", said)
            elif said:
                self.codes.append(said)

    def take_field(self, element: Element, root: Element) -> None:
        """A field of the regional platform: `<idCardNo>…</idCardNo>`, `<referralId extension="…"/>`."""
        name = element.name.casefold()
        is_header = (
            element is root or (element.parent is root and name in HEADER) or is_inside(element, HEADER)
        )
        if is_header or element.first("value") is not None or name in _DOCUMENT_NAMES:
            return
        said = element.get("extension") or (element.own_text() if not element.children else "")
        if not said:
            return
        if name in ("name", "patientname", "personname", "teamname", "doctorname", "orgname"):
            self.name = said
        elif name in _RESIDENT:
            kind = KINDS["resident"]
            self.people.append((kind.system, said))
        elif name.endswith(("id", "no", "number", "code", "key")):
            self._number(name, element.get("root"), said)

    def take_id(self, element: Element) -> None:
        """An `<id>` without a value element around it: `<patient><id …/></patient>`."""
        parent = element.parent
        assert parent is not None
        for item in element.all("item") or [element]:
            if item.get("extension") and parent.name not in ("queryId", "queryByParameter"):
                words = f"{parent.name} {element.name}".casefold()
                self._number(words, item.get("root"), item.get("extension"))

    def _number(self, words: str, root: str, extension: str) -> None:
        row = (system_of(root, self.context), extension)
        is_person = any(word in words for word in _PERSON)
        kind = next((kind for kind in KINDS.values() if kind.system == row[0] and kind.system), None)
        is_agent = any(word in words for word in _AGENT)
        target = (
            self.people
            if is_person or (kind is not None and kind.is_personal)
            else self.agents
            if is_agent
            else self.things
        )
        if row not in target and len(target) < MOST:
            target.append(row)

    def question(self) -> Question:
        codes = {shown[0]: code for code, shown in GENDERS.items()}
        return Question(
            tuple(self.people),
            tuple(self.things),
            tuple(self.agents),
            self.name,
            self.birth,
            codes.get(self.gender, self.gender),
            tuple(dict.fromkeys(self.codes)),
            self.title,
            self.since,
            self.until,
        )


def is_inside(element: Element, names: frozenset[str]) -> bool:
    """Tell whether an element lies in one of these names (small letters), itself and the root left out."""
    parent = element.parent
    while parent is not None and parent.parent is not None:
        if parent.name.casefold() in names:
            return True
        parent = parent.parent
    return False
