"""Public health over REST: reports of infectious diseases, five colours, labels, follow-up, home care (china rows 27–33)."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.public_health.infectious import detect
from gateway.public_health.watch import PublicHealthWatch
from gateway.workflow.packs import SHIPPED, load_packs
from terminology.fhirjson import Json
from tests.gateway.test_chronic_care import TEAM, C, Client, codes_of, contract, county, run, signed, today

LOINC = "http://loinc.org"
RULES: dict[str, Any] = {pack.id: pack.rules for pack in load_packs(SHIPPED)}

PERSON: Json = {
    "resourceType": "Patient", "id": "p", "name": [{"text": "张三丰"}], "gender": "male", "birthDate": "1980-01-01",
    "identifier": [{"system": "urn:oid:2.16.156.10011.1.2", "value": "37010200100100012"}],
    "address": [{"text": "某乡某村"}], "telecom": [{"system": "phone", "value": "13800000000"}],
}  # fmt: skip


class Desk:
    """A county whose watch looks when it is told to, at a time that can be moved."""

    def __init__(self, client: Client, watch: PublicHealthWatch) -> None:
        self.client, self.watch, self.ahead = client, watch, timedelta(0)
        clock = watch.clock
        watch.clock = lambda: clock() + self.ahead

    async def look(self) -> None:
        await self.watch.look()

    async def tasks(self, code: str) -> list[Json]:
        found = await self.client.get(f"/Task?code={C}task-code|{code}")
        return [row["resource"] for row in found.get("entry", ())]


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    async with county(folder) as client:
        watch = next(port for port in client.gateway.ports if isinstance(port, PublicHealthWatch))
        await watch.stop()
        yield Desk(client, watch)


def condition(id: str, code: str, patient: str = "p", **more: Any) -> Json:
    return {"resourceType": "Condition", "id": id, "subject": {"reference": f"Patient/{patient}"},
            "recorder": {"reference": "PractitionerRole/d"}, "code": {"coding": [{"system": f"{C}icd-10-nhsa", "code": code}]}, **more}  # fmt: skip


def result(id: str, code: str, patient: str = "p", **value: Any) -> Json:
    return {"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": today(), "performer": [TEAM], "code": {"coding": [{"system": LOINC, "code": code}]}, **value}  # fmt: skip


def inputs(*rows: tuple[str, str, Any]) -> Json:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, kind: value} for name, kind, value in rows],
    }


def by(id: str = "d") -> tuple[str, str, Any]:
    return ("practitioner", "valueReference", {"reference": f"PractitionerRole/{id}"})


def seconds(task: Json) -> float:
    end = datetime.fromisoformat(task["restriction"]["period"]["end"])
    return (end - datetime.fromisoformat(task["authoredOn"])).total_seconds()


class TestWhatIsACase:
    """row 29: triggered by lab result or diagnosis"""

    @pytest.mark.parametrize(
        ("code", "value", "disease"),
        [
            ("56888-1", {"valueString": "阳性"}, "hiv"),
            ("56888-1", {"valueString": "阴性"}, None),
            ("56888-1", {"valueString": "非阳性"}, None),
            ("5195-3", {"valueCodeableConcept": {"coding": [{"code": "10828004"}]}}, "hepatitis-b"),
            (
                "8041-6",
                {"valueString": "见图", "interpretation": [{"coding": [{"code": "POS"}]}]},
                "syphilis",
            ),
            ("718-7", {"valueString": "阳性"}, None),
        ],
    )
    def test_results(self, code: str, value: Json, disease: str | None) -> None:
        found = detect(result("o", code, **value), RULES["infectious-diseases"])
        assert (found.id if found else None) == disease

    @pytest.mark.parametrize(
        ("code", "state", "disease", "hours"),
        [
            ("A00.1", {}, "cholera", 2),
            ("A22.1", {}, "pulmonary-anthrax", 2),
            ("A22.0", {}, None, 0),
            ("A15.000x001", {}, "tuberculosis", 24),
            ("A15.0", {"verificationStatus": {"coding": [{"code": "refuted"}]}}, None, 0),
            ("I10", {}, None, 0),
        ],
    )
    def test_diagnoses(self, code: str, state: Json, disease: str | None, hours: int) -> None:
        found = detect(condition("c", code, **state), RULES["infectious-diseases"])
        assert (found.id if found else None, found.hours if found else 0) == (disease, hours)


class TestReporting:
    """row 29: 2 h and 24 h as Tasks, the card, the list"""

    def test_each_case_has_one_task_with_its_limit(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(condition("cholera", "A00.1"))
                await place.client.put(result("hiv", "56888-1", valueString="阳性"))
                await place.client.put(result("hiv2", "7917-8", valueString="阳性"))
                await place.look()
                await place.look()
                tasks = {
                    row["reasonCode"]["coding"][0]["code"]: row
                    for row in await place.tasks("infectious-report")
                }
                assert {name: seconds(row) for name, row in tasks.items()} == {
                    "cholera": pytest.approx(7200, abs=1), "hiv": pytest.approx(86400, abs=1)}  # fmt: skip
                assert (tasks["cholera"]["priority"], tasks["hiv"]["priority"]) == ("stat", "routine")
                assert tasks["hiv"]["owner"] == TEAM

        run(body())

    def test_the_card_needs_the_person_and_ends_the_task(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                client = place.client
                await client.put(condition("c1", "A15.0", onsetDateTime="2026-03-02"))
                await place.look()
                (task,) = await place.tasks("infectious-report")
                call = f"/Task/{task['id']}/$report-card"
                refused = await client.ask("POST", call, inputs(by()), status=409)
                assert codes_of(refused) == ["HT-CARE-31"] * 4
                assert [row["expression"][0] for row in refused["issue"]] == [
                    "Patient.gender", "Patient.birthDate", "Patient.address", "Patient.telecom"]  # fmt: skip
                await client.put(PERSON)
                card = await client.ask("POST", call, inputs(by()), status=201)
                assert card["section"][1]["entry"] == [{"reference": "Condition/c1"}]
                assert "病名：肺结核；发病日期：2026-03-02" in card["section"][1]["text"]["div"]
                done = await client.get(f"/Task/{task['id']}")
                assert done["status"] == "completed"
                assert done["output"][0]["valueReference"] == {"reference": f"Composition/{card['id']}"}
                document = await client.get(f"/Composition/{card['id']}/$document")
                assert document["type"] == "document"
                assert "meta" not in document, "tuberculosis is not among the sensitive ones"
                again = await client.ask("POST", call, inputs(by()), status=409)
                assert codes_of(again) == ["HT-CARE-34"]
                without = await client.ask(
                    "POST", call, inputs(("onset", "valueDate", "2026-03-02")), status=409
                )
                assert codes_of(without) == ["HT-CARE-34"]

        run(body())

    def test_the_card_of_a_sensitive_disease_is_labelled(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                client = place.client
                await client.put(PERSON)
                await client.put(result("o", "56888-1", valueString="阳性"))
                await place.look()
                (task,) = await place.tasks("infectious-report")
                card = await client.ask("POST", f"/Task/{task['id']}/$report-card", inputs(by()), status=201)
                document = await client.get(f"/Composition/{card['id']}/$document")
                for row in (task, card, document):
                    assert [label["code"] for label in row["meta"]["security"]] == ["R"]
                assert card["confidentiality"] == "R"

        run(body())

    def test_the_list_shows_what_is_overdue_and_masks_what_is_sensitive(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                place.ahead = timedelta(hours=-3)
                await place.client.put(condition("c1", "A00.1"))
                await place.client.put(condition("c2", "A53.9"))
                await place.look()
                text = await place.client.get("/Task/$public-health-list?code=infectious-report&as=csv")
                rows = {row["phase"]: row for row in csv.DictReader(io.StringIO(text.lstrip("\ufeff")))}
                assert (rows["overdue"]["about"], rows["overdue"]["name"]) == ("霍乱", "张三丰")
                assert float(rows["overdue"]["hours"]) == pytest.approx(1.0, abs=0.1)
                assert (rows["due"]["about"], rows["due"]["name"]) == ("***", "张**")
                listed = await place.client.get(
                    "/Task/$public-health-list?code=infectious-report&phase=overdue&organization=nobody"
                )
                assert listed["parameter"] == [{"name": "total", "valueInteger": 0}]
                refused = await place.client.ask("GET", "/Task/$public-health-list?code=x", status=400)
                assert codes_of(refused) == ["HT-REST-31"]

        run(body())

    def test_three_cases_are_a_sign_of_an_event(self, tmp_path: Path) -> None:
        """row 30: MeasureReport and Communication to public health"""

        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(
                    {"resourceType": "Organization", "id": "cdc", "name": "疾控中心", "type": [{"coding": [{"system": f"{C}organization-type", "code": "public-health"}]}]})  # fmt: skip
                for number in range(4):
                    id = f"p{number}"
                    await place.client.put({"resourceType": "Patient", "id": id, "name": [{"text": "甲"}]})
                    await place.client.put(condition(f"c{number}", "B08.4", id))
                    await place.look()
                    found = await place.client.get(
                        f"/Communication?category={C}communication-category|public-health-event"
                    )
                    assert len(found.get("entry", ())) == (number >= 2)
                event = found["entry"][0]["resource"]
                assert event["recipient"] == [{"reference": "Organization/cdc"}]
                report = await place.client.get("/" + event["about"][0]["reference"])
                assert report["group"][0]["population"][0]["count"] == 3 == len(report["evaluatedResource"])

        run(body())


class TestLabels:
    """row 28: security label R by rule"""

    @pytest.mark.parametrize(
        ("resource", "hidden"),
        [
            (condition("a", "A53.9"), True),
            (condition("a", "Z21"), True),
            (condition("a", "O98.7"), True),
            (condition("a", "I10"), False),
            (result("a", "5195-3", valueString="阴性"), True),
            (result("a", "718-7", valueString="x"), False),
            (condition("a", "I10", meta={"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]}), True),
        ],
    )  # fmt: skip
    def test_what_is_sensitive_is_labelled_when_it_is_written(
        self, tmp_path: Path, resource: Json, hidden: bool
    ) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(resource)
                held = await place.client.get(f"/{resource['resourceType']}/a")
                labels = [row["code"] for row in held["meta"].get("security", ())]
                found = await place.client.get(f"/{resource['resourceType']}?subject=Patient/p&_id=a")
                assert found.get("meta", {}).get("security", []) == held["meta"].get("security", [])
                assert bool({"R", "V"} & set(labels)) is hidden
                assert len(labels) <= 1
                bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
                    {"resource": {key: value for key, value in resource.items() if key != "id"},
                     "request": {"method": "POST", "url": resource["resourceType"]}}]}  # fmt: skip
                answer = await place.client.http.post("/", json=bundle)
                path = answer.json()["entry"][0]["response"]["location"].partition("/_history")[0]
                copy = await place.client.get("/" + "/".join(path.split("/")[-2:]))
                assert copy["meta"].get("security", []) == held["meta"].get("security", [])

        run(body())


class TestFiveColours:
    """row 27: maternal and child risk; high risk without plan → warning"""

    @pytest.mark.parametrize(
        ("programme", "resources", "colour"),
        [
            ("pregnancy", [], "green"),
            ("pregnancy", [result("o", "718-7", valueQuantity={"value": 105, "code": "g/L"})], "yellow"),
            ("pregnancy", [result("o", "718-7", valueQuantity={"value": 10.5, "code": "g/dL"})], "yellow"),
            ("pregnancy", [result("o", "8480-6", valueQuantity={"value": 145, "code": "mm[Hg]"})], "orange"),
            ("pregnancy", [result("o", "8480-6", valueQuantity={"value": 160, "code": "mm[Hg]"}), condition("k", "O24.4")], "red"),
            ("pregnancy", [condition("k", "O15.0")], "red"),
            ("pregnancy", [result("o", "5195-3", valueString="阳性"), condition("k", "O15.0")], "purple"),
            ("child-health", [result("o", "8339-4", valueQuantity={"value": 2.4, "code": "kg"})], "yellow"),
            ("child-health", [result("o", "8339-4", valueQuantity={"value": 1490, "code": "g"})], "red"),
            ("child-health", [result("o", "9274-2", valueInteger=6)], "orange"),
        ],
    )  # fmt: skip
    def test_colour(self, tmp_path: Path, programme: str, resources: list[Json], colour: str) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                client = place.client
                await client.put(episode(programme))
                for row in resources:
                    await client.put(row)
                await place.look()
                id = "maternal" if programme == "pregnancy" else "child"
                told = await client.ask("POST", "/Patient/p/$five-colours", inputs())
                values = {row["name"]: row for row in told["parameter"]}
                assert (values["colour"]["valueCode"], values["programme"]["valueCode"]) == (colour, id)
                high = colour in ("orange", "red", "purple")
                assert ("warning" in values) is high
                (assessment,) = (await client.get("/RiskAssessment?subject=Patient/p"))["entry"]
                assert assessment["resource"]["meta"]["versionId"] == "1", (
                    "the same data writes nothing again"
                )
                listed = await client.get("/RiskAssessment/$high-risk?as=csv")
                rows = list(csv.DictReader(io.StringIO(listed.lstrip("\ufeff"))))
                assert [(row["colour"], row["warning"]) for row in rows] == (
                    [(colour, "HT-CARE-33")] if high else []
                )
                if high:
                    assert rows[0]["name"] == ("张**" if colour == "purple" else "张三丰")
                    await client.put(
                        {"resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan", "subject": {"reference": "Patient/p"},
                         "category": [{"coding": [{"system": f"{C}care-plan-category", "code": id}]}]})  # fmt: skip
                    told = await client.ask("POST", "/Patient/p/$five-colours", inputs())
                    assert "warning" not in {row["name"] for row in told["parameter"]}

        run(body())

    def test_new_data_changes_the_colour_by_itself(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(episode("pregnancy"))
                await place.look()
                for value, colour in ((145, "orange"), (165, "red")):
                    await place.client.put(result("o", "8480-6", valueQuantity={"value": value, "code": "mm[Hg]"}) | {"id": f"o{value}", "effectiveDateTime": today(value - 165)})  # fmt: skip
                    await place.look()
                    (entry,) = (await place.client.get("/RiskAssessment?subject=Patient/p"))["entry"]
                    assert (
                        entry["resource"]["prediction"][0]["qualitativeRisk"]["coding"][0]["code"] == colour
                    )

        run(body())

    def test_somebody_in_no_programme(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                refused = await place.client.ask("POST", "/Patient/p/$five-colours", inputs(), status=409)
                assert codes_of(refused) == ["HT-CARE-30"]

        run(body())


def episode(programme: str) -> Json:
    return {"resourceType": "EpisodeOfCare", "id": "e", "status": "active", "patient": {"reference": "Patient/p"},
            "type": [{"coding": [{"system": f"{C}episode-type", "code": programme}]}]}  # fmt: skip


def stay(status: str = "finished", kind: str = "IMP", days: int = -10) -> Json:
    return {"resourceType": "Encounter", "id": "stay", "status": status, "class": {"code": kind}, "subject": {"reference": "Patient/p"},
            "serviceProvider": {"reference": "Organization/county"}, "period": {"start": today(days - 5), "end": today(days)}}  # fmt: skip


class TestDischarge:
    """row 33: tracking of discharged patients, overdue list"""

    def test_a_stay_is_followed_up_by_the_family_doctor(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                client = place.client
                await client.put(signed(contract()))
                await client.put(stay())
                await place.look()
                await place.look()
                (task,) = await place.tasks("discharge-follow-up")
                assert (task["owner"], task["focus"]["reference"]) == (TEAM, "Encounter/stay")
                listed = await client.get("/Task/$public-health-list?code=discharge-follow-up&phase=overdue")
                assert listed["parameter"][0]["valueInteger"] == 1
                wrong = await client.ask("POST", f"/Task/{task['id']}/$finish", inputs(("output", "valueReference", {"reference": "Observation/none"})), status=409)  # fmt: skip
                assert codes_of(wrong) == ["HT-CARE-32"]
                await client.put(result("call", "85354-9"))
                done = await client.ask("POST", f"/Task/{task['id']}/$finish", inputs(("output", "valueReference", {"reference": "Observation/call"})))  # fmt: skip
                assert done["status"] == "completed"
                listed = await client.get("/Task/$public-health-list?code=discharge-follow-up&phase=late")
                assert listed["parameter"][0]["valueInteger"] == 1

        run(body())

    @pytest.mark.parametrize("encounter", [stay("in-progress"), stay(kind="AMB"), stay(days=-90)])
    def test_nothing_follows_from_other_visits(self, tmp_path: Path, encounter: Json) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(encounter)
                await place.look()
                assert await place.tasks("discharge-follow-up") == []

        run(body())


def answers(*points: Any) -> Json:
    names = ("eating", "washing", "dressing", "toilet", "moving")
    return {"resourceType": "QuestionnaireResponse", "id": "q", "status": "completed", "subject": {"reference": "Patient/p"},
            "questionnaire": "https://hutong.health/fhir/Questionnaire/elderly-self-care", "authored": f"{today()}T08:00:00+08:00",
            "item": [{"linkId": name, "answer": [{"valueInteger": value}]} for name, value in zip(names, points, strict=False)]}  # fmt: skip


class TestHomeCare:
    """rows 31, 32: application → assessment → dispatch → visit"""

    @pytest.mark.parametrize(
        ("points", "total", "level"),
        [((0, 0, 0, 0, 0), 0, "independent"), ((3, 0, 0, 0, 0), 3, "independent"), ((0, 3, 0, 1, 0), 4, "mild"),
         ((3, 3, 0, 1, 1), 8, "mild"), ((5, 3, 0, 1, 0), 9, "moderate"), ((5, 7, 5, 1, 0), 18, "moderate"), ((5, 7, 5, 1, 1), 19, "severe")],
    )  # fmt: skip
    def test_score(self, tmp_path: Path, points: tuple[int, ...], total: int, level: str) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(answers(*points))
                scored = await place.client.ask(
                    "POST", "/QuestionnaireResponse/q/$score", inputs(), status=201
                )
                assert scored["valueQuantity"]["value"] == total
                assert scored["interpretation"][0]["coding"][0]["code"] == level

        run(body())

    def test_what_is_missing_or_impossible_is_told_at_once(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                await place.client.put(answers(4, 0, 5))
                refused = await place.client.ask(
                    "POST", "/QuestionnaireResponse/q/$score", inputs(), status=400
                )
                assert codes_of(refused) == ["HT-CARE-36"] * 3

        run(body())

    def test_from_the_application_to_the_visit(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with desk(tmp_path) as place:
                client, owner = place.client, inputs(("owner", "valueReference", TEAM))
                await client.put(
                    {"resourceType": "ServiceRequest", "id": "apply", "status": "active", "intent": "order", "code": {"text": "居家护理"},
                     "subject": {"reference": "Patient/p"}, "requester": {"reference": "Patient/p"}})  # fmt: skip
                refused = await client.ask("POST", "/ServiceRequest/apply/$dispatch", owner, status=409)
                assert codes_of(refused) == ["HT-CARE-37"]
                await client.put(answers(5, 3, 0, 1, 0))
                await client.ask("POST", "/QuestionnaireResponse/q/$score", inputs(), status=201)
                task = await client.ask("POST", "/ServiceRequest/apply/$dispatch", owner, status=201)
                assert codes_of(
                    await client.ask("POST", "/ServiceRequest/apply/$dispatch", owner, status=409)
                ) == ["HT-CARE-38"]
                visit = {
                    "resourceType": "Encounter",
                    "id": "visit",
                    "status": "planned",
                    "class": {"code": "HH"},
                    "subject": {"reference": "Patient/p"},
                }
                await client.put(visit)
                output = inputs(("output", "valueReference", {"reference": "Encounter/visit"}))
                early = await client.ask("POST", f"/Task/{task['id']}/$finish", output, status=409)
                assert codes_of(early) == ["HT-CARE-32"]
                for status in ("arrived", "in-progress", "finished"):
                    await client.put(visit | {"status": status})
                done = await client.ask("POST", f"/Task/{task['id']}/$finish", output)
                assert done["status"] == "completed"

        run(body())
