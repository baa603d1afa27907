"""Patient/$match: who this probably is (https://hl7.org/fhir/R4/patient-operation-match.html).

Candidates are found by the index, then weighed field by field: agreement and disagreement each count with the
logarithm of how much likelier they are for the same person than for two people (Fellegi and Sunter 1969). The grade
is drawn from the sum; `certain` needs an identifier or name, birth date and phone together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.operations.parameters import read_inputs
from gateway.rest.context import Context
from gateway.rest.request import Params, Request
from gateway.rest.response import Response
from gateway.rest.search import entry
from gateway.search.escape import escape
from gateway.search.parse import parse
from gateway.store.protocol import Version
from terminology.fhirjson import Json, decode_resource
from terminology.hanzi import fold, pinyin
from terminology.issues import InvalidInput

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
MOST_CANDIDATES = 200
DEFAULT_COUNT = 20

# Bits against two records picked at random being one person: one in about four thousand, the candidates of a search.
PRIOR = -12.0
# Weights in bits: (agrees, disagrees).
RESIDENT_ID = (20.0, -9.0)
IDENTIFIER = (14.0, -3.0)
NAME = (8.0, -5.0)
PINYIN_NAME = 5.5
FAMILY_OR_GIVEN = 1.0
BIRTH_DATE = (8.0, -6.0)
NEAR_BIRTH_DATE = 2.0
YEAR_ONLY = 3.0
PHONE = (7.0, -1.0)
GENDER = (1.0, -5.0)

CERTAIN, PROBABLE, POSSIBLE = 0.99, 0.80, 0.10


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two patients are: `score` 0…1, the FHIR grade, and the weight of each field compared."""

    score: float
    grade: str
    weights: dict[str, float]


async def match(request: Request, context: Context) -> Response:
    """Return the likely records, best first, each with search.score and match-grade."""
    inputs = read_inputs(request, context)
    asked = inputs.one("resource")
    if not isinstance(asked, dict) or asked.get("resourceType") != "Patient":
        raise InvalidInput("HT-REST-34", operation="match", name="resource")
    count = inputs.one("count", DEFAULT_COUNT)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidInput(
            "HT-REST-15",
            name="count",
            value=str(count)[:20],
            expected_zh="正整数",
            expected_en="a positive number",
        )
    rows = [
        (compare(asked, decode_resource(one.body or b"{}")), one) for one in await _candidates(asked, context)
    ]
    found = [row for row in rows if row[0].grade != "certainly-not"]
    if inputs.one("onlyCertainMatches") is True:
        found = [row for row in found if row[0].grade == "certain"]
    found.sort(key=lambda row: (-row[0].score, row[1].id))
    entries = [
        _entry(likeness, version, request) for likeness, version in found[: min(count, context.limits.page)]
    ]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    if entries:
        bundle["entry"] = entries
    return Response(200, bundle)


def compare(asked: Json, known: Json) -> Likeness:
    """Weigh two Patients. A field that one of them lacks says nothing."""
    weights = {
        name: weight
        for name, weight in (
            ("identifier", _identifiers(asked, known)),
            ("name", _names(asked, known)),
            ("birthDate", _birth_dates(asked.get("birthDate"), known.get("birthDate"))),
            ("telecom", _phones(asked, known)),
            ("gender", _genders(asked.get("gender"), known.get("gender"))),
        )
        if weight is not None
    }
    score = 1 / (1 + 2 ** -(PRIOR + sum(weights.values())))
    return Likeness(round(score, 4), _grade(score, weights), weights)


def _grade(score: float, weights: dict[str, float]) -> str:
    backed = weights.get("identifier", 0) >= IDENTIFIER[0] or all(
        weights.get(name, 0) >= full
        for name, full in (("name", NAME[0]), ("birthDate", BIRTH_DATE[0]), ("telecom", PHONE[0]))
    )
    if score >= CERTAIN and backed and min(weights.values()) >= PHONE[1]:
        return "certain"
    if score >= PROBABLE:
        return "probable"
    return "possible" if score >= POSSIBLE else "certainly-not"


def _identifiers(asked: Json, known: Json) -> float | None:
    left, right = dict(_ids(asked)), dict(_ids(known))
    mine, theirs = _resident_ids(asked), _resident_ids(known)
    if mine and theirs:
        return RESIDENT_ID[0] if mine & theirs else RESIDENT_ID[1]
    shared = left.keys() & right.keys()
    if any(left[system] & right[system] for system in shared):
        return IDENTIFIER[0]
    return IDENTIFIER[1] if shared else None


def _ids(patient: Json) -> Iterator[tuple[str, set[str]]]:
    rows: dict[str, set[str]] = {}
    for row in _objects(patient, "identifier"):
        if row.get("value"):
            rows.setdefault(str(row.get("system", "")), set()).add(str(row["value"]).strip().upper())
    yield from rows.items()


def _resident_ids(patient: Json) -> set[str]:
    """Identifiers in the form of a resident identity number (GB 11643), 15 digits brought to 17 for comparison."""
    found: set[str] = set()
    for row in _objects(patient, "identifier"):
        text = fold(str(row.get("value", ""))).upper().replace(" ", "")
        if len(text) == 18 and text[:17].isdigit() and (text[17].isdigit() or text[17] == "X"):
            found.add(text[:17])
        elif len(text) == 15 and text.isdigit():
            found.add(f"{text[:6]}19{text[6:]}")
    return found


def _names(asked: Json, known: Json) -> float | None:
    left, right = list(_name_forms(asked)), list(_name_forms(known))
    if not left or not right:
        return None
    if {whole for whole, _ in left} & {whole for whole, _ in right}:
        return NAME[0]
    if any(set(pinyin(one)) & set(pinyin(other)) for one, _ in left for other, _ in right):
        return PINYIN_NAME
    if any(parts & others for _, parts in left for _, others in right):
        return FAMILY_OR_GIVEN
    return NAME[1]


def _name_forms(patient: Json) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """Yield each name as one folded string, with its parts; 张 小明, "张小明" and 小明 张 as family and given agree."""
    for row in _objects(patient, "name"):
        family = fold(str(row.get("family", "")))
        given = "".join(fold(str(part)) for part in row.get("given", ()))
        parts = {(kind, text) for kind, text in (("family", family), ("given", given)) if text}
        whole = (fold(str(row.get("text", ""))) or family + given).replace(" ", "")
        if whole:
            yield whole, parts
        if family and given and family + given != whole:
            yield family + given, parts


def _birth_dates(asked: Any, known: Any) -> float | None:
    if not isinstance(asked, str) or not isinstance(known, str):
        return None
    if asked == known:
        return BIRTH_DATE[0] if len(asked) == 10 else YEAR_ONLY
    shorter = min(len(asked), len(known))
    if shorter < 10:
        return YEAR_ONLY if asked[:shorter] == known[:shorter] else BIRTH_DATE[1]
    # One part differs, or day and month changed places: a slip of the pen more often than another person.
    left, right = asked.split("-"), known.split("-")
    same = sum(one == other for one, other in zip(left, right, strict=False))
    swapped = left[0] == right[0] and left[1:] == right[:0:-1]
    return NEAR_BIRTH_DATE if same == 2 or swapped else BIRTH_DATE[1]


def _phones(asked: Json, known: Json) -> float | None:
    left, right = _phone_numbers(asked), _phone_numbers(known)
    if not left or not right:
        return None
    return PHONE[0] if left & right else PHONE[1]


def _phone_numbers(patient: Json) -> set[str]:
    """The last eleven digits of each phone number (a mobile number with or without +86)."""
    found = set()
    for row in _objects(patient, "telecom"):
        digits = "".join(letter for letter in fold(str(row.get("value", ""))) if letter.isdigit())
        if row.get("system", "phone") in ("phone", "sms") and len(digits) >= 7:
            found.add(digits[-11:])
    return found


def _genders(asked: Any, known: Any) -> float | None:
    if asked not in ("male", "female") or known not in ("male", "female"):
        return None
    return GENDER[0] if asked == known else GENDER[1]


async def _candidates(asked: Json, context: Context) -> list[Version]:
    """Return the records that agree in at least one telling field, by the index."""
    found: dict[str, Version] = {}
    for params in _questions(asked):
        query = parse(
            "Patient",
            [*params, ("_count", str(MOST_CANDIDATES))],
            strict=True,
            parameters=context.parameters,
            max_count=MOST_CANDIDATES,
        )
        page = await context.store.search(query)
        for version in page.matches:
            found.setdefault(version.id, version)
    return list(found.values())


def _questions(asked: Json) -> Iterable[Params]:
    for row in _objects(asked, "identifier")[:10]:
        if row.get("value"):
            yield [("identifier", escape(str(row["value"]).strip()))]
    for number in sorted(_phone_numbers(asked))[:5]:
        yield [("phone", number)]
    birth = asked.get("birthDate")
    for whole, _ in list(_name_forms(asked))[:3]:
        yield [("name", escape(whole))]
        if isinstance(birth, str):
            for sound in pinyin(whole)[:4]:
                yield [("pinyin", escape(sound)), ("birthdate", birth)]
    if isinstance(birth, str) and asked.get("gender") in ("male", "female"):
        yield [("birthdate", birth), ("gender", asked["gender"])]


def _objects(patient: Json, name: str) -> list[Json]:
    rows = patient.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _entry(likeness: Likeness, version: Version, request: Request) -> Json:
    row = entry(version, request, "match")
    row["search"] = {
        "extension": [{"url": GRADE, "valueCode": likeness.grade}],
        "mode": "match",
        "score": likeness.score,
    }
    return row
