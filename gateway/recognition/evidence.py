"""Gather what the recognition engine looks at: only results that could answer, and what those name."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from conformance.identifiers import read_resident_id, systems, to_eighteen
from conformance.recognition import Packs, Record
from conformance.recognition.engine import MAX_CANDIDATES, ordered_items
from conformance.recognition.matching import ItemMaps
from conformance.recognition.question import Question
from conformance.recognition.record import references
from conformance.recognition.rules.person import resident_ids
from gateway.rest.context import Context
from gateway.search.escape import escape
from gateway.search.parse import parse
from gateway.store.protocol import Version
from terminology.fhirjson import Json, decode_resource

MAX_SAME_PERSONS = 10
MAX_MAPS = 50
MAX_ROWS = 200
MAX_HISTORY = 100
MAX_HOPS = 4
"""Observation → Specimen, PractitionerRole → Organization → its parents; no chain of evidence is longer."""

NAMED = (
    "subject", "specimen", "performer", "resultsInterpreter", "imagingStudy", "endpoint", "organization", "partOf",
    "derivedFrom", "hasMember", "serviceProvider", "requester", "encounter", "device",
)  # fmt: skip


class Evidence:
    """Resources by reference, read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._resources: dict[str, Json] = {}
        self._absent: set[str] = set()

    def record(self) -> Record:
        return Record(self._resources.values())

    async def read(self, references: Iterable[str]) -> list[Json]:
        """Take the resources of literal references; those that do not exist are passed over."""
        wanted: dict[str, tuple[str, str]] = {}
        for reference in references:
            kind, _, id = reference.partition("/_history/")[0].rpartition("/")
            kind = kind.rpartition("/")[2]
            if kind and id:
                wanted[f"{kind}/{id}"] = kind, id
        fresh = {
            key: pair
            for key, pair in wanted.items()
            if key not in self._resources and key not in self._absent
        }
        if fresh:
            versions = await self._context.store.read_many(list(fresh.values()))
            for key, pair in fresh.items():
                version = versions.get(pair)
                if version is None or version.body is None:
                    self._absent.add(key)
                else:
                    self._resources[key] = decode_resource(version.body)
        return [self._resources[key] for key in wanted if key in self._resources]

    async def search(self, kind: str, *params: tuple[str, str], count: int = MAX_ROWS) -> list[Json]:
        """Take the matches of a search, at most `count`."""
        found = []
        for version in await self._versions(kind, *params, count=count):
            key = f"{version.type}/{version.id}"
            if key not in self._resources:
                self._resources[key] = decode_resource(version.body or b"{}")
            found.append(self._resources[key])
        return found

    async def follow(self, resources: Sequence[Json]) -> None:
        """Take what resources name, and what that names, a bounded number of steps."""
        front = list(resources)
        for _ in range(MAX_HOPS):
            wanted = [
                held for resource in front for element in NAMED for held in references(resource, element)
            ]
            wanted += [
                held
                for resource in front
                for series in resource.get("series") or ()
                for held in references(series, "endpoint")
            ]
            fresh = [held for held in dict.fromkeys(wanted) if held not in self._resources]
            front = await self.read(fresh)
            if not front:
                return

    async def maps(self, items: Iterable[tuple[Json, ...]]) -> ItemMaps:
        """Return the published ConceptMaps that speak of the items, two steps away at most."""
        codes = list(dict.fromkeys(coding.get("code", "") for item in items for coding in item))
        found: dict[tuple[str, int], Version] = {}
        for _ in range(2):
            joined = ",".join(escape(code) for code in codes if code)
            if not joined:
                break
            fresh = [
                version
                for name in ("source-code", "target-code")
                for version in await self._versions(
                    "ConceptMap", (name, joined), ("status", "active"), count=MAX_MAPS
                )
                if (version.id, version.version) not in found
            ]
            found |= {(version.id, version.version): version for version in fresh}
            maps = _item_maps(tuple(found.values()))
            codes = [code for item in items for _, code in maps.related(item)]
            if not fresh:
                break
        return _item_maps(tuple(found.values()))

    async def _versions(self, kind: str, *params: tuple[str, str], count: int) -> Sequence[Version]:
        query = parse(
            kind, [*params, ("_count", str(count))], strict=True, parameters=self._context.parameters
        )
        return (await self._context.store.search(query)).matches


@lru_cache(maxsize=8)
def _item_maps(versions: tuple[Version, ...]) -> ItemMaps:
    return ItemMaps(decode_resource(version.body or b"{}") for version in versions)


async def same_person(evidence: Evidence, patient: Json) -> list[str]:
    """Return the ids of the Patient resources that may be this person: linked, same number, same demographics."""
    ids = [patient["id"]]
    linked = [held for link in patient.get("link") or () for held in references(link, "other")]
    await evidence.read(linked)
    ids += [held.rpartition("/")[2] for held in linked]
    for number in resident_ids(patient):
        found = read_resident_id(number)
        forms = {number, found.value, to_eighteen(found.value)}
        if len(to_eighteen(found.value)) == 18:
            forms.add(_fifteen(to_eighteen(found.value)))
        value = ",".join(f"{systems.RESIDENT_ID}|{escape(form)}" for form in sorted(forms))
        ids += [
            row["id"]
            for row in await evidence.search("Patient", ("identifier", value), count=MAX_SAME_PERSONS)
        ]
    name = next(
        (
            row.get("text") or f"{row.get('family', '')}{''.join(row.get('given') or ())}"
            for row in patient.get("name") or ()
        ),
        "",
    )
    if name and patient.get("gender") and patient.get("birthDate"):
        asked = (("name", escape(name)), ("gender", patient["gender"]), ("birthdate", patient["birthDate"]))
        ids += [row["id"] for row in await evidence.search("Patient", *asked, count=MAX_SAME_PERSONS)]
    ids += [
        row["id"]
        for row in await evidence.search(
            "Patient", ("link", f"Patient/{patient['id']}"), count=MAX_SAME_PERSONS
        )
    ]
    return list(dict.fromkeys(ids))[:MAX_SAME_PERSONS]


def _fifteen(number: str) -> str:
    return number[:6] + number[8:17]


async def gather(evidence: Evidence, question: Question, packs: Packs) -> ItemMaps:
    """Take the candidates of every ordered item and the circumstances of the patient; return the item maps."""
    items = list(ordered_items(question, packs))
    maps = await evidence.maps(items)
    people = ",".join(f"Patient/{id}" for id in await same_person(evidence, question.patient))
    found: list[Json] = []
    for item in items:
        keys = maps.related(item)
        code = ",".join(
            f"{escape(system)}|{escape(value)}" if system else escape(value) for system, value in keys
        )
        if not code:
            continue
        # Half as many again: some of the newest will be withdrawn or another institution's unmarked ones.
        asked = (("subject", people), ("code", code), ("_sort", "-date"))
        found += await evidence.search("Observation", *asked, count=MAX_CANDIDATES * 3 // 2)
        found += await evidence.search("DiagnosticReport", *asked, count=MAX_CANDIDATES * 3 // 2)
    observed = [row for row in found if row["resourceType"] == "Observation"]
    for start in range(0, len(observed), 50):
        results = ",".join(f"Observation/{row['id']}" for row in observed[start : start + 50])
        found += await evidence.search("DiagnosticReport", ("subject", people), ("result", results))
    await evidence.follow([*found, *filter(None, (question.requester, question.encounter, question.order))])
    await _circumstances(evidence, people, found)
    return maps


async def gather_history(evidence: Evidence, patient: Json, at: datetime, *, days: int) -> list[Json]:
    """Take what a patient has had in `days` before `at`, newest first, and the circumstances; return the results.

    Laboratory and ECG values are Observations, images are reports; those inside a report are not listed twice.
    """
    people = ",".join(f"Patient/{id}" for id in await same_person(evidence, patient))
    since = (at - timedelta(days=days)).date().isoformat()
    asked = (("subject", people), ("date", f"ge{since}"), ("_sort", "-date"))
    observed = await evidence.search("Observation", *asked, count=MAX_HISTORY)
    reported = await evidence.search("DiagnosticReport", *asked, count=MAX_HISTORY)
    found = [*observed, *reported]
    await evidence.follow(found)
    await _circumstances(evidence, people, found)
    return found


async def _circumstances(evidence: Evidence, people: str, found: list[Json]) -> None:
    if not found:
        return
    await evidence.search("Condition", ("subject", people))
    await evidence.search("Encounter", ("subject", people), ("_sort", "-date"), count=50)
    await evidence.search("Procedure", ("subject", people), ("_sort", "-date"), count=50)
    await evidence.search("ServiceRequest", ("subject", people), ("status", "active,draft,on-hold"), count=50)
    await evidence.search("Consent", ("patient", people), ("status", "active"), count=50)
    await evidence.search("Task", ("patient", people), ("code", "mutual-recognition"))
    names = ",".join(f"{row['resourceType']}/{row['id']}" for row in found[:50])
    documents = await evidence.search("DocumentReference", ("subject", people), ("related", names), count=50)
    await evidence.follow(documents)
