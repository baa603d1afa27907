"""The rows of each kind of indicator, by the name that the pack uses: (County, Question) → cases. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from conformance.chronic import measured
from conformance.chronic.grading import COMPARE, visits_of
from conformance.recognition.moment import read_approximately
from conformance.recognition.record import extension
from gateway.care.plan import day_of as visit_day
from gateway.care.record import in_force
from gateway.critical.alert import outputs
from gateway.indicators.county import Case, County, Question, codes_in, day_of, one
from gateway.recognition.statistics import decided
from terminology.fhirjson import Json

E = "https://hutong.health/fhir/StructureDefinition/"
NOT_REAL = frozenset({"planned", "cancelled", "entered-in-error", "draft", "revoked", "unknown"})


def visits(county: County, question: Question) -> Iterator[Case]:
    """Encounters of some classes that began in the period; share of the county, or of primary care within it."""
    for row in county.of("Encounter"):
        day = day_of((row.get("period") or {}).get("start"))
        kind = str((row.get("class") or {}).get("code"))
        if (
            day is None
            or not question.has(day)
            or row.get("status") in NOT_REAL
            or kind not in question.rules["classes"]
        ):
            continue
        organization = one(row, "serviceProvider")
        inside = county.is_member(organization)
        if question.rules["share"] == "community":
            yield Case(_name(row), day, organization, one(row, "subject"), counted=inside, group=kind)
        elif inside:
            yield Case(
                _name(row),
                day,
                organization,
                one(row, "subject"),
                counted=county.is_primary(organization),
                group=kind,
            )


def bills(county: County, question: Question) -> Iterator[Case]:
    """What the insurance paid in the period (ExplanationOfBenefit.payment), by who was paid."""
    for row in county.of("ExplanationOfBenefit"):
        day = day_of(row.get("created"))
        amount = ((row.get("payment") or {}).get("amount") or {}).get("value")
        if day is None or not question.has(day) or row.get("status") != "active" or amount is None:
            continue
        organization = county.place(one(row, "provider"))
        inside = county.is_member(organization)
        if question.rules["share"] == "primary" and not inside:
            continue
        counted = county.is_primary(organization) if question.rules["share"] == "primary" else inside
        yield Case(
            _name(row), day, organization, one(row, "patient"), counted=counted, value=Decimal(str(amount))
        )


def referrals(county: County, question: Question) -> Iterator[Case]:
    """Referrals that were ordered in the period; `count`: those of one direction, `ratio`: down to up, `done`: closed ones."""
    for row in county.of("ServiceRequest"):
        day = day_of(row.get("authoredOn"))
        if (
            day is None
            or not question.has(day)
            or row.get("status") in NOT_REAL
            or row.get("intent") != "order"
            or "referral" not in codes_in(row.get("category"))
        ):
            continue
        named = (extension(row, f"{E}referring-organization") or {}).get("reference", "")
        sender = county.place(named or one(row, "requester"))
        way = _direction(row, sender, county)
        reference, patient, wanted = _name(row), one(row, "subject"), question.rules["share"]
        if wanted == "ratio" and way:
            yield Case(
                reference, day, sender, patient, counted=way == "down", required=way == "up", group=way
            )
        elif wanted == "done":
            done = any(task.get("status") == "completed" for task in county.tasks.get(reference, ()))
            yield Case(reference, day, sender, patient, counted=done, group=way)
        elif wanted == way:
            yield Case(reference, day, sender, patient, group=way)


def decisions(county: County, question: Question) -> Iterator[Case]:
    """Decisions on recognition as they stand at the end of the period; reasons that don't count are left out."""
    tasks = [
        row
        for row in county.of("Task")
        if "mutual-recognition" in codes_in(row.get("code")) and question.has(day_of(row.get("authoredOn")))
    ]
    for row in decided(tasks, (), item_of=lambda _: ("", Decimal(0))):
        day = day_of(row.at)
        if day is None or row.action not in ("accept", "reject"):
            continue
        if row.action == "reject" and row.reason in question.rules["left_out"]:
            continue
        yield Case(row.task, day, county.place(row.organization), row.patient, counted=row.action == "accept")


def coverage(county: County, question: Question) -> Iterator[Case]:
    """Living residents at the end of the period, and who of them has a family-doctor contract in force then."""
    held: dict[str, Json] = {}
    for contract in county.of("Contract"):
        if in_force(contract, question.end.isoformat()):
            for subject in contract.get("subject") or ():
                held.setdefault(str(subject.get("reference", "")), contract)
    for row in county.of("Patient"):
        died = day_of(row.get("deceasedDateTime"))
        merged = any(link.get("type") == "replaced-by" for link in row.get("link") or ())
        gone = row.get("deceasedBoolean") is True or (died is not None and died <= question.end)
        if row.get("active") is False or merged or gone:
            continue
        found = held.get(_name(row))
        organization = county.place(one(found, "author") if found else one(row, "managingOrganization"))
        yield Case(_name(row), question.end, organization, _name(row), counted=found is not None)


def renewals(county: County, question: Question) -> Iterator[Case]:
    """Contracts that ran out in the period, and which of them were followed by one in force on the next day."""
    contracts = [row for row in county.of("Contract") if row.get("status") not in NOT_REAL | {"cancelled"}]
    for row in contracts:
        end = day_of((row.get("applies") or {}).get("end"))
        if end is None or not question.has(end) or row.get("status") in ("offered", "negotiable"):
            continue
        patient, after = one(row, "subject"), (end + timedelta(days=1)).isoformat()
        counted = any(
            other is not row and one(other, "subject") == patient and in_force(other, after)
            for other in contracts
        )
        yield Case(_name(row), end, county.place(one(row, "author")), patient, counted=counted)


def control(county: County, question: Question) -> Iterator[Case]:
    """Patients in a plan of a disease, and whose newest result of the period is within the pack's limits."""
    disease = question.diseases[question.rules["disease"]]
    values: dict[str, list[Json]] = {}
    for row in county.of("Observation"):
        values.setdefault(one(row, "subject"), []).append(row)
    seen: set[str] = set()
    for plan in county.of("CarePlan"):
        patient, period = one(plan, "subject"), plan.get("period") or {}
        begun, ended = day_of(period.get("start")), day_of(period.get("end"))
        if (
            disease.id not in codes_in(plan.get("category"))
            or plan.get("status") not in ("active", "completed")
            or begun is None
            or begun > question.end
            or (ended is not None and ended < question.start)
            or patient in seen
        ):
            continue
        seen.add(patient)
        newest = next(
            iter(
                visits_of(
                    value for value in measured(values.get(patient, ()), disease) if question.has(value.at)
                )
            ),
            None,
        )
        bad = newest is not None and any(
            limit.measure is not None
            and value.measure.name == limit.measure.name
            and all(COMPARE[word](value.value, number) for word, number in limit.limits)
            for value in newest.values
            for limit in disease.unsatisfactory
        )
        yield Case(
            newest.values[0].source if newest is not None else _name(plan),
            newest.day if newest is not None else question.end,
            county.place(one(plan, "author")),
            patient,
            counted=newest is not None and not bad,
        )


def follow_ups(county: County, question: Question) -> Iterator[Case]:
    """Visits that plans have for the period, and which of them took place."""
    for plan in county.of("CarePlan"):
        if plan.get("status") not in ("active", "completed"):
            continue
        for number, row in enumerate(plan.get("activity") or ()):
            day = visit_day(row)
            if day is None or not question.has(day) or (row.get("detail") or {}).get("status") == "cancelled":
                continue
            yield Case(
                f"{_name(plan)}#{number}",
                day,
                county.place(one(plan, "author")),
                one(plan, "subject"),
                counted=row["detail"].get("status") == "completed",
            )


def reports(county: County, question: Question) -> Iterator[Case]:
    """Orders to the centres of the period that were completed: within the limit, in which time, or asked by primary care."""
    for task in county.of("Task"):
        day = day_of(task.get("authoredOn"))
        codes = set(codes_in(task.get("code")))
        kind = next((code for code in question.rules["categories"] if code in codes), "")
        if (
            day is None
            or not question.has(day)
            or "fulfill" not in codes
            or not kind
            or task.get("status") != "completed"
        ):
            continue
        begun = read_approximately(task.get("authoredOn"))
        ended = read_approximately((task.get("executionPeriod") or {}).get("end") or task.get("lastModified"))
        limit = read_approximately(((task.get("restriction") or {}).get("period") or {}).get("end"))
        if begun is None or ended is None:
            continue
        reference, patient, centre = _name(task), one(task, "for"), county.place(one(task, "owner"))
        match question.rules["share"]:
            case "in-time":
                if limit is not None:
                    yield Case(reference, day, centre, patient, counted=ended <= limit, group=kind)
            case "minutes":
                seconds = (ended - begun).total_seconds() - int(extension(task, f"{E}paused-seconds") or 0)
                minutes = (Decimal(str(max(0.0, seconds))) / 60).quantize(Decimal("0.1"))
                yield Case(reference, day, centre, patient, value=minutes, group=kind)
            case "primary":
                asked = county.place(one(task, "requester"))
                yield Case(reference, day, asked, patient, counted=county.is_primary(asked), group=kind)
            case "count":
                yield Case(reference, day, centre, patient, group=kind)


def critical(county: County, question: Question) -> Iterator[Case]:
    """Critical values that were found in the period; what can still be in time isn't counted yet."""
    output = {"acknowledged": "acknowledged-at", "handled": "handled-at"}[question.rules["limit"]]
    limit = timedelta(minutes=float(question.limits[question.rules["limit"]]))
    for row in county.of("Communication"):
        if "critical-value" not in codes_in(row.get("category")) or row.get("partOf"):
            continue
        found = next((note.get("time") for note in row.get("note") or ()), None) or row.get("sent")
        begun, day = read_approximately(found), day_of(found)
        if begun is None or day is None or not question.has(day) or row.get("status") == "entered-in-error":
            continue
        done = _moment_of(county.tasks.get(_name(row), ()), output)
        if done is None and question.now <= begun + limit:
            continue
        organization = county.place(one(row, "recipient"))
        yield Case(
            _name(row),
            day,
            organization,
            one(row, "subject"),
            counted=done is not None and done - begun <= limit,
        )


def prescriptions(county: County, question: Question) -> Iterator[Case]:
    """Prescriptions of the period with a supply that is told, and which of them are longer than so many days."""
    for row in county.of("MedicationRequest"):
        day = day_of(row.get("authoredOn"))
        days = _days((row.get("dispenseRequest") or {}).get("expectedSupplyDuration") or {})
        if (
            day is None
            or not question.has(day)
            or row.get("status") in NOT_REAL
            or row.get("intent") != "order"
            or days is None
        ):
            continue
        organization = county.place(one(row, "requester"))
        yield Case(
            _name(row), day, organization, one(row, "subject"), counted=days > question.rules["longer_than"]
        )


def limits_kept(county: County, question: Question) -> Iterator[Case]:
    """Tasks of one code of the period that are done or too late, and which of them were done within their limit."""
    for task in county.of("Task"):
        day = day_of(task.get("authoredOn"))
        limit = read_approximately(((task.get("restriction") or {}).get("period") or {}).get("end"))
        if (
            day is None
            or limit is None
            or not question.has(day)
            or question.rules["task"] not in codes_in(task.get("code"))
            or task.get("status") in ("cancelled", "entered-in-error")
        ):
            continue
        done = task.get("status") == "completed"
        ended = read_approximately((task.get("executionPeriod") or {}).get("end") or task.get("lastModified"))
        if not done and question.now <= limit:
            continue
        in_time = done and ended is not None and ended <= limit
        yield Case(_name(task), day, county.place(one(task, "owner")), one(task, "for"), counted=in_time)


ROWS: dict[str, Callable[[County, Question], Iterator[Case]]] = {
    "visits": visits,
    "bills": bills,
    "referrals": referrals,
    "decisions": decisions,
    "coverage": coverage,
    "renewals": renewals,
    "control": control,
    "follow-ups": follow_ups,
    "reports": reports,
    "critical": critical,
    "prescriptions": prescriptions,
    "limits-kept": limits_kept,
}


def _direction(order: Json, sender: str, county: County) -> str:
    """Up or down as the order says, else by who sends to whom; "" between equals."""
    said = next((code for code in codes_in(order.get("code")) if code in ("up", "down")), "")
    if said:
        return said
    receiver = next((county.place(one({"row": row}, "row")) for row in order.get("performer") or ()), "")
    below, above = county.is_primary(sender), county.is_primary(receiver)
    if not sender or not receiver or below == above:
        return ""
    return "up" if below else "down"


def _moment_of(tasks: list[Json] | tuple[()], name: str) -> datetime | None:
    moments = [read_approximately(outputs(task).get(name)) for task in tasks]
    return min((moment for moment in moments if moment is not None), default=None)


def _days(duration: Json) -> Decimal | None:
    factor = {"d": 1, "wk": 7, "天": 1, "日": 1, "周": 7}.get(
        str(duration.get("code") or duration.get("unit"))
    )
    value = duration.get("value")
    return Decimal(str(value)) * factor if factor and value is not None else None


def _name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"
