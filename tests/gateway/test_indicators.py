"""Performance indicators: each figure equals a plain recount of the resources; rows, strata, definitions (china row 39)."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest

from conformance.chronic import load_diseases
from gateway.indicators.county import County, Question
from gateway.indicators.report import score, to_measure_report
from gateway.indicators.rows import ROWS
from gateway.store.protocol import Commit, Put
from gateway.workflow.packs import SHIPPED, load_packs
from terminology.fhirjson import Json
from tests.gateway.test_chronic_care import county, run

C = "https://hutong.health/fhir/CodeSystem/"
START, END = date(2026, 3, 1), date(2026, 4, 30)
NOW = datetime(2026, 5, 10, tzinfo=UTC)
RULES: dict[str, Any] = {
    row["id"]: row for row in next(p for p in load_packs(SHIPPED) if p.id == "indicators").rules
}
LIMITS = {"acknowledged": 10, "handled": 30}
BILL: Json = {
    "type": {"coding": [{"code": "professional"}]},
    "use": "claim",
    "outcome": "complete",
    "insurer": {"display": "医保经办机构"},
    "insurance": [{"focal": True, "coverage": {"display": "居民医保"}}],
}
IN, OUT = (
    ("Organization/hosp", "Organization/town", "Organization/clinic", "Organization/dept"),
    ("Organization/city",),
)
LOW = {"Organization/town", "Organization/clinic"}


def concept(code: str, system: str = "x") -> Json:
    return {"coding": [{"system": system, "code": code}]}


def places() -> list[Json]:
    rows = [("community", "community", ""), ("hosp", "hospital", "community"), ("town", "township", "community"),
            ("clinic", "clinic", "town"), ("dept", "department", "hosp"), ("city", "hospital", "")]  # fmt: skip
    return [
        {"resourceType": "Organization", "id": id, "name": f"机构{id}", "type": [concept(kind, f"{C}organization-type")],
         **({"partOf": {"reference": f"Organization/{above}"}} if above else {})}
        for id, kind, above in rows
    ]  # fmt: skip


class Chance:
    """Resources of every kind that an indicator reads, of every state, inside the period, outside, and on its edges."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.rows = places()
        for number in range(60):
            for make in (self.encounter, self.bill, self.referral, self.decision, self.contract, self.order,
                         self.critical, self.prescription, self.plan, self.pressure, self.infection):  # fmt: skip
                self.rows += make(f"{make.__name__}{number}")
        for number in range(12):
            self.rows.append(
                {"resourceType": "Patient", "id": f"p{number}",
                 **self.pick({}, {"active": False}, {"deceasedBoolean": True}, {"deceasedDateTime": self.day()},
                             {"link": [{"type": "replaced-by", "other": {}}]}, {}, {})}
            )  # fmt: skip

    def pick(self, *values: Any) -> Any:
        return self.random.choice(values)

    def day(self) -> str:
        edge = [START, END, START - timedelta(1), END + timedelta(1)]
        return (
            self.pick(*edge)
            if self.random.random() < 0.3
            else START + timedelta(self.random.randrange(-40, 100))
        ).isoformat()

    def moment(self) -> str:
        # Late hours in UTC are the next day in +08:00.
        return f"{self.day()}T{self.random.randrange(24):02}:{self.random.randrange(60):02}:00{self.pick('Z', '+08:00')}"

    def patient(self) -> Json:
        return {"reference": f"Patient/p{self.random.randrange(12)}"}

    def place(self) -> Json:
        return {"reference": self.pick(*IN, *OUT)}

    def encounter(self, id: str) -> list[Json]:
        return [{"resourceType": "Encounter", "id": id, "status": self.pick("finished", "in-progress", "cancelled"),
                 "class": {"code": self.pick("AMB", "EMER", "IMP", "VR", "PRENC")}, "subject": self.patient(),
                 "period": {"start": self.moment()}, **self.pick({}, {"serviceProvider": self.place()}, {"serviceProvider": self.place()})}]  # fmt: skip

    def bill(self, id: str) -> list[Json]:
        return [{"resourceType": "ExplanationOfBenefit", "id": id, "status": self.pick("active", "active", "cancelled"),
                 "created": self.day(), "provider": self.place(), "patient": self.patient(),
                 "payment": self.pick({}, {"amount": {"value": Decimal(self.random.randrange(100000)) / 100, "currency": "CNY"}})}]  # fmt: skip

    def referral(self, id: str) -> list[Json]:
        order = {"resourceType": "ServiceRequest", "id": id, "status": self.pick("active", "completed", "revoked"),
                 "intent": self.pick("order", "order", "proposal"), "category": [concept(self.pick("referral", "referral", "lab"))],
                 "code": self.pick(concept("up"), concept("down"), {"text": "转诊"}), "subject": self.patient(),
                 "authoredOn": self.moment(), "requester": self.place(), "performer": [self.place()]}  # fmt: skip
        task = {"resourceType": "Task", "id": f"t-{id}", "status": self.pick("completed", "accepted"),
                "code": concept("fulfill"), "focus": {"reference": f"ServiceRequest/{id}"}}  # fmt: skip
        return [order, *self.pick([], [task])]

    def decision(self, id: str) -> list[Json]:
        return [{"resourceType": "Task", "id": id, "status": "completed", "code": concept("mutual-recognition"),
                 "businessStatus": concept(self.pick("accept", "reject", "viewed")), "authoredOn": self.moment(),
                 "statusReason": concept(self.pick("01", "98")), "focus": {"reference": f"Observation/{id}"}, "owner": self.place()}]  # fmt: skip

    def contract(self, id: str) -> list[Json]:
        start = date.fromisoformat(self.day()) - timedelta(365)
        end = start + timedelta(self.random.randrange(330, 800))
        return [{"resourceType": "Contract", "id": id, "status": self.pick("executed", "terminated", "renewed"),
                 "applies": {"start": start.isoformat(), "end": end.isoformat()}, "subject": [self.patient()], "author": self.place()}]  # fmt: skip

    def order(self, id: str) -> list[Json]:
        start = datetime.fromisoformat(self.moment())
        return [{"resourceType": "Task", "id": id, "status": self.pick("completed", "completed", "in-progress"),
                 "code": {"coding": [{"code": "fulfill"}, {"code": self.pick("imaging", "ecg", "consult", "referral")}]},
                 "authoredOn": start.isoformat(), "requester": self.place(), "owner": self.place(), "for": self.patient(),
                 "executionPeriod": {"end": (start + timedelta(minutes=self.random.randrange(600))).isoformat()},
                 "restriction": {"period": {"end": (start + timedelta(minutes=300)).isoformat()}}}]  # fmt: skip

    def critical(self, id: str) -> list[Json]:
        start = datetime.fromisoformat(self.moment())
        outputs = [{"type": concept(name, f"{C}task-output"), "valueDateTime": (start + timedelta(minutes=self.random.randrange(20))).isoformat()}
                   for name in self.pick([], ["acknowledged-at"], ["acknowledged-at", "handled-at"])]  # fmt: skip
        return [{"resourceType": "Communication", "id": id, "status": "in-progress", "category": [concept("critical-value")],
                 "note": [{"time": start.isoformat(), "text": "x"}], "recipient": [self.place()], "subject": self.patient()},
                {"resourceType": "Task", "id": f"t-{id}", "status": "requested", "code": concept("acknowledge-critical"),
                 "focus": {"reference": f"Communication/{id}"}, "output": outputs}]  # fmt: skip

    def prescription(self, id: str) -> list[Json]:
        return [{"resourceType": "MedicationRequest", "id": id, "status": self.pick("active", "cancelled"), "intent": "order",
                 "authoredOn": self.moment(), "requester": self.place(), "subject": self.patient(),
                 "dispenseRequest": {"expectedSupplyDuration": self.pick({"value": 28, "code": "d"}, {"value": 12, "code": "wk"}, {"value": 29, "code": "d"}, {})}}]  # fmt: skip

    def plan(self, id: str) -> list[Json]:
        activity = [
            {
                "detail": {
                    "status": self.pick("completed", "scheduled", "cancelled"),
                    "scheduledPeriod": {"start": self.day()},
                }
            }
            for _ in range(3)
        ]
        return [{"resourceType": "CarePlan", "id": id, "status": self.pick("active", "revoked", "completed"), "intent": "plan",
                 "category": [concept(self.pick("hypertension", "diabetes"))], "subject": self.patient(), "author": self.place(),
                 "period": {"start": self.day(), **self.pick({}, {"end": self.day()})}, "activity": activity}]  # fmt: skip

    def pressure(self, id: str) -> list[Json]:
        return [{"resourceType": "Observation", "id": id, "status": self.pick("final", "final", "cancelled"), "subject": self.patient(),
                 "effectiveDateTime": self.day(), "code": {"coding": [{"code": "8480-6"}]},
                 "valueQuantity": {"value": self.pick(120, 139, 140, 170), "code": "mm[Hg]"}}]  # fmt: skip

    def infection(self, id: str) -> list[Json]:
        start = datetime.fromisoformat(self.moment())
        return [{"resourceType": "Task", "id": id, "status": self.pick("completed", "requested", "cancelled"), "code": concept("infectious-report"),
                 "authoredOn": start.isoformat(), "lastModified": (start + timedelta(hours=self.random.randrange(48))).isoformat(),
                 "owner": self.place(), "restriction": {"period": {"end": (start + timedelta(hours=24)).isoformat()}}}]  # fmt: skip


def china(text: str) -> str:
    """The day in +08:00."""
    return (
        (datetime.fromisoformat(text) + timedelta(hours=8)).date().isoformat()
        if text.endswith(("Z", "+00:00"))
        else text[:10]
    )


def within(text: str) -> bool:
    return START.isoformat() <= china(text) <= END.isoformat()


def share(above: Any, below: Any) -> Decimal | None:
    return (Decimal(above) / Decimal(below)).quantize(Decimal("0.0001")) if below else None


def code(value: Any) -> str:
    rows = value if isinstance(value, list) else [value]
    return " ".join(str(c["code"]) for row in rows for c in row.get("coding", ()))


def recount(id: str, rows: list[Json]) -> Decimal | None:
    """The same figure, counted as plainly as its words say it."""
    of: Callable[[str], list[Json]] = lambda kind: [row for row in rows if row["resourceType"] == kind]  # noqa: E731
    if id in ("in-county-visit-share", "in-county-inpatient-share", "primary-care-visit-share"):
        wanted = ("IMP",) if "inpatient" in id else ("AMB", "EMER", "VR")
        seen = [row.get("serviceProvider", {}).get("reference", "") for row in of("Encounter")
                if row["class"]["code"] in wanted and row["status"] != "cancelled" and within(row["period"]["start"])]  # fmt: skip
        inside = [place for place in seen if place in IN]
        return (
            share(len([p for p in inside if p in LOW]), len(inside))
            if "primary" in id
            else share(len(inside), len(seen))
        )
    if id.startswith("insurance-fund"):
        paid = [(row["provider"]["reference"], row["payment"]["amount"]["value"]) for row in of("ExplanationOfBenefit")
                if row["status"] == "active" and row["payment"] and within(row["created"])]  # fmt: skip
        inside_paid = sum(v for p, v in paid if p in IN)
        return (
            share(sum(v for p, v in paid if p in LOW), inside_paid)
            if "primary" in id
            else share(inside_paid, sum(v for _, v in paid))
        )
    if id.startswith("referral") or id == "down-to-up-ratio":
        orders = [row for row in of("ServiceRequest") if row["status"] != "revoked" and row["intent"] == "order"
                  and code(row["category"]) == "referral" and within(row["authoredOn"])]  # fmt: skip
        if id == "referral-completion":
            done = {
                t["focus"]["reference"] for t in of("Task") if t["status"] == "completed" and "focus" in t
            }
            return share(len([row for row in orders if f"ServiceRequest/{row['id']}" in done]), len(orders))

        def way(row: Json) -> str:
            low = row["requester"]["reference"] in LOW, row["performer"][0]["reference"] in LOW
            return code(row["code"]) or {(True, False): "up", (False, True): "down"}.get(low, "")

        ways = [way(row) for row in orders]
        if id == "down-to-up-ratio":
            return share(ways.count("down"), ways.count("up"))
        return Decimal(ways.count("up" if id == "referrals-up" else "down"))
    if id == "recognition-rate":
        said = [(code(t["businessStatus"]), code(t["statusReason"])) for t in of("Task")
                if code(t["code"]) == "mutual-recognition" and within(t["authoredOn"])]  # fmt: skip
        yes, no = (
            len([1 for a, _ in said if a == "accept"]),
            len([1 for a, r in said if a == "reject" and r == "01"]),
        )
        return share(yes, yes + no)
    if id == "contract-coverage":
        people = [f"Patient/{p['id']}" for p in of("Patient") if p.get("active", True) and not p.get("deceasedBoolean")
                  and not p.get("link") and p.get("deceasedDateTime", "9") > END.isoformat()]  # fmt: skip
        signed = {c["subject"][0]["reference"] for c in of("Contract") if c["status"] != "terminated"
                  and c["applies"]["start"] <= END.isoformat() <= c["applies"]["end"]}  # fmt: skip
        return share(len(signed & set(people)), len(people))
    if id == "contract-renewal":
        ended = [c for c in of("Contract") if within(c["applies"]["end"])]
        kept = 0
        for one in ended:
            after = (date.fromisoformat(one["applies"]["end"]) + timedelta(1)).isoformat()
            kept += any(c["status"] != "terminated" and c["subject"] == one["subject"] and c["id"] != one["id"]
                        and c["applies"]["start"] <= after <= c["applies"]["end"] for c in of("Contract"))  # fmt: skip
        return share(kept, len(ended))
    if id in ("hypertension-control", "diabetes-control"):
        plans = {p["subject"]["reference"] for p in of("CarePlan") if code(p["category"]) == id.partition("-")[0]
                 and p["status"] != "revoked" and p["period"]["start"] <= END.isoformat()
                 and p["period"].get("end", "9") >= START.isoformat()}  # fmt: skip
        good = 0
        for patient in plans if id.startswith("hyper") else ():
            values = [(o["effectiveDateTime"], o["valueQuantity"]["value"]) for o in of("Observation")
                      if o["status"] == "final" and o["subject"]["reference"] == patient and within(o["effectiveDateTime"])]  # fmt: skip
            newest = max((d for d, _ in values), default="")
            good += bool(values) and all(v < 140 for d, v in values if d == newest)
        return share(good, len(plans))
    if id == "follow-ups-done":
        states = [a["detail"]["status"] for p in of("CarePlan") if p["status"] != "revoked" for a in p["activity"]
                  if within(a["detail"]["scheduledPeriod"]["start"]) and a["detail"]["status"] != "cancelled"]  # fmt: skip
        return share(states.count("completed"), len(states))
    if id in ("report-in-time", "report-turnaround", "primary-order-share", "consultations"):
        kinds = {"consultations": ["consult"], "primary-order-share": ["imaging", "ecg"]}.get(
            id, ["imaging", "ecg", "consult"]
        )
        done_tasks = [t for t in of("Task") if t["status"] == "completed" and "authoredOn" in t and within(t["authoredOn"])
                      and any(code(t["code"]) == f"fulfill {kind}" for kind in kinds)]  # fmt: skip
        if id == "consultations":
            return Decimal(len(done_tasks))
        if id == "primary-order-share":
            return share(len([t for t in done_tasks if t["requester"]["reference"] in LOW]), len(done_tasks))
        took = [
            (
                datetime.fromisoformat(t["executionPeriod"]["end"]) - datetime.fromisoformat(t["authoredOn"])
            ).total_seconds()
            / 60
            for t in done_tasks
        ]
        return (
            Decimal(median(took)).quantize(Decimal("0.1"))
            if id == "report-turnaround"
            else share(len([m for m in took if m <= 300]), len(took))
        )
    if id.startswith("critical"):
        name, limit = ("acknowledged-at", 10) if "ack" in id else ("handled-at", 30)
        told = [c for c in of("Communication") if within(c["note"][0]["time"])]
        kept = 0
        for one in told:
            task = next(t for t in of("Task") if t["id"] == f"t-{one['id']}")
            kept += any(code(o["type"]) == name and datetime.fromisoformat(o["valueDateTime"])
                        - datetime.fromisoformat(one["note"][0]["time"]) <= timedelta(minutes=limit) for o in task["output"])  # fmt: skip
        return share(kept, len(told))
    if id == "long-prescription-share":
        lengths = [m["dispenseRequest"]["expectedSupplyDuration"]["value"] for m in of("MedicationRequest") if m["status"] == "active"
                   and within(m["authoredOn"]) and m["dispenseRequest"]["expectedSupplyDuration"]]  # fmt: skip
        return share(len([d for d in lengths if d != 28]), len(lengths))
    assert id == "infectious-report-in-time"
    due = [
        t
        for t in of("Task")
        if code(t["code"]) == "infectious-report" and within(t["authoredOn"]) and t["status"] != "cancelled"
    ]
    return share(
        len(
            [
                t
                for t in due
                if t["status"] == "completed" and t["lastModified"] <= t["restriction"]["period"]["end"]
            ]
        ),
        len(due),
    )


def figures(id: str, rows: list[Json]) -> tuple[Json, County, list[Any]]:
    world = County(rows)
    question = Question(START, END, RULES[id], NOW, LIMITS, load_diseases().at(NOW.date()))
    cases = list(ROWS[RULES[id]["rows"]](world, question))
    report = to_measure_report(RULES[id], cases, world, start=str(START), end=str(END), now=NOW.isoformat())
    return report, world, cases


class TestEqualToARecount:
    """each figure equal to a brute-force recomputation over the resources"""

    def test_there_are_more_than_the_fourteen(self) -> None:
        assert len(RULES) >= 14
        for row in RULES.values():
            assert all((row["source"], row["numerator"]["zh"], row["numerator"]["en"]))
            assert row["scoring"] in ("count", "median") or (
                row["denominator"]["zh"] and row["denominator"]["en"]
            )

    @pytest.mark.parametrize("id", sorted(RULES))
    def test_figure(self, id: str) -> None:
        told: set[Decimal | None] = set()
        for seed in range(10):
            rows = Chance(seed).rows
            report, _, cases = figures(id, rows)
            expected = recount(id, rows)
            assert report["group"][0].get("measureScore", {}).get("value") == expected, (id, seed)
            told.add(expected)
            if id != "hypertension-control":
                assert all(START <= case.day <= END for case in cases)
        assert len(told) > 1 or id == "diabetes-control", "the chance must make this figure move"

    @pytest.mark.parametrize("id", sorted(RULES))
    def test_strata_add_up(self, id: str) -> None:
        report, _, cases = figures(id, Chance(99).rows)
        months = next(row for row in report["group"][0]["stratifier"] if row["code"][0]["text"] == "month")
        for number, population in enumerate(report["group"][0]["population"]):
            parts = [row["population"][number]["count"] for row in months.get("stratum", ())]
            assert sum(parts) == population["count"]
        for row in months.get("stratum", ()):
            part = [case for case in cases if case.day.isoformat()[:7] == row["value"]["text"]]
            assert row.get("measureScore", {}).get("value") == score(part, RULES[id]["scoring"])


class TestOverRest:
    """Measure/[id]/$evaluate-measure, its rows, the definitions"""

    PERIOD = "periodStart=2026-03-01&periodEnd=2026-04-30"

    def test_stored_resources_give_the_recounted_figure_and_its_rows(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                chance = Chance(7)
                kinds = ("Organization", "Encounter", "ExplanationOfBenefit")
                # An online visit needs an earlier one in person, which chance doesn't give.
                rows = [
                    row
                    for row in chance.rows
                    if row["resourceType"] in kinds and row.get("class", {}).get("code") != "VR"
                ]
                for row in rows:
                    if row["resourceType"] == "ExplanationOfBenefit":
                        if not row["payment"]:
                            continue
                        money = {"value": float(row["payment"]["amount"]["value"]), "currency": "CNY"}
                        row = row | BILL | {"payment": {"amount": money}}
                    if (row.get("class") or {}).get("code") == "VR":
                        # Held before the county asked for a visit in person first.
                        await client.gateway.store.plain.commit(Commit([Put(row)]))
                        continue
                    await client.put(row)
                for id in ("in-county-visit-share", "primary-care-visit-share", "insurance-fund-in-county"):
                    report = await client.get(f"/Measure/{id}/$evaluate-measure?{self.PERIOD}")
                    value = report["group"][0]["measureScore"]["value"]
                    assert Decimal(str(value)).quantize(Decimal("0.0001")) == recount(id, rows)
                    assert report["measure"] == f"https://hutong.health/fhir/Measure/{id}"
                    sheet = await client.get(f"/Measure/{id}/$evaluate-measure?{self.PERIOD}&as=csv")
                    lines = list(csv.reader(io.StringIO(sheet.lstrip("\ufeff"))))
                    counts = {
                        p["code"]["coding"][0]["code"]: p["count"] for p in report["group"][0]["population"]
                    }
                    assert len(lines) - 1 == counts["denominator"]
                    assert sum(int(line[8]) for line in lines[1:]) == counts["numerator"]
                # An organisation means itself and what is below it.
                town = await client.get(
                    f"/Measure/primary-care-visit-share/$evaluate-measure?{self.PERIOD}&organization=town"
                )
                wanted = [r for r in rows if r["resourceType"] == "Encounter" and r.get("serviceProvider", {}).get("reference") in LOW
                          and r["class"]["code"] in ("AMB", "EMER", "VR") and r["status"] != "cancelled" and within(r["period"]["start"])]  # fmt: skip
                assert town["group"][0]["population"][0]["count"] == len(wanted) > 0

        run(body())

    def test_every_indicator_is_defined_and_can_be_asked(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                defined = [row["resource"] for row in (await client.get("/Measure/$indicators"))["entry"]]
                assert {row["id"] for row in defined} == set(RULES)
                assert all(
                    row["relatedArtifact"][0]["citation"] and row["group"][0]["population"] for row in defined
                )
                told = await client.get(f"/Measure/$indicators?{self.PERIOD}")
                assert [row["resource"]["measure"] for row in told["entry"]] == [
                    row["url"] for row in defined
                ]

        run(body())

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("in-county-visit-share/$evaluate-measure", 400, "HT-MR-11"),
            ("in-county-visit-share/$evaluate-measure?periodStart=x&periodEnd=2026-01-01", 400, "HT-CARE-06"),
            (
                "in-county-visit-share/$evaluate-measure?periodStart=2026-02-01&periodEnd=2026-01-01",
                400,
                "HT-CARE-20",
            ),
            (
                "nothing-known/$evaluate-measure?periodStart=2026-02-01&periodEnd=2026-03-01",
                404,
                "HT-REST-01",
            ),
        ],
    )
    def test_wrong_questions(self, tmp_path: Path, path: str, status: int, code: str) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                outcome = await client.ask("GET", f"/Measure/{path}", status=status)
                assert code in str(outcome)

        run(body())
