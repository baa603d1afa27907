"""The register of critical values (危急值登记本): the columns that hospitals keep on paper, and the rates that are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from gateway.care.record import find
from gateway.critical.alert import C, outputs
from gateway.csv_sheet import as_text, csv_sheet
from gateway.store.protocol import Store
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import reference_of
from gateway.workflow.moment import read_moment
from terminology.fhirjson import Json, decode_resource

COLUMNS = {
    "detected": "发现时间",
    "sent": "通知时间",
    "patient": "患者",
    "value": "危急值",
    "sender": "报告单位",
    "receiver": "接收单位",
    "acknowledged": "接收时间",
    "acknowledged-by": "接收人",
    "repeat-back": "复述",
    "handled": "处理时间",
    "handled-by": "处理人",
    "action": "处理",
    "calls": "催告次数",
    "status": "状态",
}
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Register:
    """`rates`: shares from 0 to 1, those that could be told in time, acknowledged and handled in time."""

    rows: list[dict[str, str]]
    rates: dict[str, Decimal]

    def csv(self) -> bytes:
        """Return a sheet with Chinese headings."""
        return csv_sheet(COLUMNS.values(), ([row[name] for name in COLUMNS] for row in self.rows))

    def xlsx(self) -> bytes:
        """Return a workbook; needs the extra `xlsx`."""
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet("危急值登记")
        sheet.append(list(COLUMNS.values()))
        for row in self.rows:
            sheet.append([as_text(row[name]) for name in COLUMNS])
        rates = book.create_sheet("及时率")
        for name, value in self.rates.items():
            rates.append([name, float(value)])
        file = BytesIO()
        book.save(file)
        return file.getvalue()


async def register(
    store: Store, *, start: str, end: str, organization: str, minutes: Mapping[str, Any], now: datetime
) -> Register:
    """Return the critical values sent from `start` to `end` (dates, inclusive), of one receiving organisation or of all."""
    params = [
        ("category", f"{C}communication-category|critical-value"),
        ("part-of:missing", "true"),
        ("_sort", "sent"),
    ]
    params += [("sent", f"ge{start}")] if start else []
    params += [("sent", f"le{end}")] if end else []
    params += [("recipient", organization)] if organization else []
    rows: list[dict[str, str]] = []
    times: list[tuple[datetime | None, datetime | None, datetime | None, datetime | None]] = []
    for communication in await find(store, "Communication", params, most=MOST):
        task = await _task(communication, store)
        known = outputs(task)
        notes = communication.get("note") or [{}]
        detected = str(notes[0].get("time", ""))
        row = {
            "detected": detected,
            "sent": str(communication.get("sent", "")),
            "patient": reference_of(communication.get("subject")),
            "value": str((communication.get("topic") or {}).get("text", "")).removeprefix("危急值 "),
            "sender": reference_of(communication.get("sender")),
            "receiver": reference_of(next(iter(communication.get("recipient") or ()), None)),
            "acknowledged": str(known.get("acknowledged-at", "")),
            "acknowledged-by": reference_of(known.get("acknowledged-by")),
            "repeat-back": str(known.get("repeat-back", "")),
            "handled": str(known.get("handled-at", "")),
            "handled-by": reference_of(known.get("handled-by")),
            "action": str(known.get("action", "")),
            "calls": str(
                len(await find(store, "Communication", [("part-of", f"Communication/{communication['id']}")]))
            ),
            "status": str(task.get("status") or communication.get("status")),
        }
        rows.append(row)
        times.append(
            (
                read_moment(detected),
                read_moment(row["sent"]),
                read_moment(row["acknowledged"]),
                read_moment(row["handled"]),
            )
        )
    return Register(rows, _rates(times, minutes, now))


def _rates(times: list[Any], minutes: Mapping[str, Any], now: datetime) -> dict[str, Decimal]:
    """Return what was in time, of what is over or still could be; what still can be in time is not counted yet."""
    found: dict[str, Decimal] = {}
    for name, at in (("sent", 1), ("acknowledged", 2), ("handled", 3)):
        limit = float(minutes[name]) * 60
        good = counted = 0
        for row in times:
            if row[0] is None:
                continue
            seconds = ((row[at] or now) - row[0]).total_seconds()
            if row[at] is None and seconds <= limit:
                continue
            counted += 1
            good += row[at] is not None and seconds <= limit
        if counted:
            found[f"{name}-in-time"] = (Decimal(good) / counted).quantize(Decimal("0.0001"))
    return found


async def _task(communication: Json, store: Store) -> Json:
    version = await store.read("Task", task_id("ack", communication["id"]))
    return decode_resource(version.body) if version is not None and version.body is not None else {}
