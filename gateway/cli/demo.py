"""`hutong demo`: a gateway, a hospital's messages, and what they became; then it stays up to be looked at."""

import asyncio
import csv
import os
import sys
import time
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from gateway.channels.http import shown
from gateway.cli.client import call, call_json
from gateway.cli.messages import kinds_of
from gateway.cli.serve import AsJson, Port, run_loop
from gateway.cli.speech import cut, print_json, say, styled, table
from gateway.journal import Filter
from gateway.logs import configure
from gateway.settings import load_settings
from terminology.fhirjson import Json

if TYPE_CHECKING:
    from gateway.app import Gateway

MESSAGES = Path(__file__).parent.parent / "demo"
TITLES = {
    "1-admission-gbk": ("住院登记 ADT^A01（GBK）", "admission ADT^A01 (GBK)"),
    "2-order": ("检验申请 ORM^O01", "laboratory order ORM^O01"),
    "3-results-gbk": ("检验报告 ORU^R01（GBK）", "laboratory report ORU^R01 (GBK)"),
    "4-results-undeclared": ("另一医院的报告，未声明字符集", "another hospital's report, charset undeclared"),
    "5-late-preliminary": ("迟到的初步结果", "a preliminary result that comes late"),
    "6-no-patient": ("没有患者的结果", "a result without a patient"),
    "7-followup-gb18030": ("高血压随访表（CSV，GB18030）", "hypertension follow-up sheet (CSV, GB18030)"),
}

Once = Annotated[bool, typer.Option("--once", help=say("演示一轮后结束。", "End after one round."))]
DemoData = Annotated[Path, typer.Option(help=say("演示数据目录。", "Data folder of the demo."))]


def demo(
    once: Once = False, data: DemoData = Path("hutong-demo"), port: Port = None, as_json: AsJson = False
) -> None:
    started = time.perf_counter()
    chosen: dict[str, Any] = {"data": data, "port": _free(port, 8000), "mllp_port": _free(None, 2575)}
    settings = load_settings(os.environ, **chosen)
    configure("warning", settings.log_format)
    from gateway.serve import serve

    async def main() -> None:
        stop = asyncio.Event()
        shows: list[asyncio.Task[None]] = []

        def ready(gateway: Any, url: str) -> None:
            shows.append(asyncio.ensure_future(show(gateway, url)))

        async def show(gateway: "Gateway", url: str) -> None:
            try:
                await _show(gateway, url, started, once=once, as_json=as_json)
            finally:
                if once or as_json:
                    stop.set()

        await serve(settings, ready=ready, stop=stop)
        for task in shows:
            await task

    run_loop(main())


async def _show(gateway: "Gateway", url: str, started: float, *, once: bool, as_json: bool) -> None:
    if not as_json:
        _say_where(gateway, url, time.perf_counter() - started)
    messages = []
    await gateway.intake.warmed()
    for path, raw in _files():
        row = await _send(gateway, url, path, raw)
        messages.append(row)
        if not as_json:
            print(_told(row))
            sys.stdout.flush()
    catalogues = await _load_catalogues(gateway, url)
    if not as_json:
        print(_searched(url, catalogues))
        sys.stdout.flush()
    answers = []
    if not as_json:
        print("\n" + styled(say("现在可以检索：", "Now it can be searched:"), "bold"))
    for title, search, columns in SEARCHES:
        address = f"{url}/fhir/{search}"
        _, bundle = await asyncio.to_thread(call_json, url, f"/fhir/{_escaped(search)}")
        rows = [
            columns(entry["resource"])
            for entry in bundle.get("entry", ())
            if entry["search"]["mode"] == "match"
        ]
        answers.append({"search": search, "total": bundle.get("total"), "rows": rows})
        if not as_json:
            print(f"\n{say(*title)}\n  {styled(f'curl -s {chr(39)}{address}{chr(39)}', 'dim')}")
            print("\n".join("    " + line for line in table(rows).split("\n")))
    seconds = time.perf_counter() - started
    if as_json:
        print_json(
            {
                "url": url,
                "seconds": round(seconds, 2),
                "messages": messages,
                "catalogues": catalogues,
                "answers": answers,
            }
        )
        return
    print("\n" + styled(say(f"✓ 共 {seconds:.1f} 秒。", f"✓ All in {seconds:.1f} s."), "green"))
    if not once:
        print(_links(url))


async def _load_catalogues(gateway: "Gateway", url: str) -> Json:
    """Load diagnoses and laboratory items on the first run, and search them as a doctor types."""
    from gateway.catalogues.first_load import load_some

    started, office = time.perf_counter(), gateway.office
    await office.run(
        lambda: load_some(office.catalogues, office.snapshots, CATALOGUES, progress=lambda _: None)
    )
    _, found = await asyncio.to_thread(call_json, url, TYPED)
    rows = [f"{row['code']} {row['display']}" for row in found["expansion"]["contains"]]
    seconds = round(time.perf_counter() - started, 2)
    return {
        "loaded": list(CATALOGUES),
        "seconds": seconds,
        "total": found["expansion"]["total"],
        "rows": rows,
    }


def _searched(url: str, catalogues: Json) -> str:
    title = say(
        f"目录：国家 ICD-10 与检验项目，{catalogues['seconds']:.1f} 秒；医生输入 gxy，{catalogues['total']} 条",
        f"Catalogues: national ICD-10 and laboratory items in {catalogues['seconds']:.1f} s; a doctor types gxy: {catalogues['total']} found",
    )
    lines = "\n".join(f"    {row}" for row in catalogues["rows"])
    return f"\n{styled(title, 'bold')}\n  {styled(f'curl -s {chr(39)}{url}{TYPED}{chr(39)}', 'dim')}\n{lines}"


def _files() -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in sorted(MESSAGES.glob("[0-9]-*"))]


def _say_where(gateway: "Gateway", url: str, seconds: float) -> None:
    where = say(f"网关已在 {seconds:.1f} 秒内启动", f"the gateway is up after {seconds:.1f} s")
    print(f"{styled('Hutong 互通', 'bold')}  {where}  FHIR {url}/fhir  MLLP 127.0.0.1:{gateway.mllp_port}\n")
    sys.stdout.flush()


async def _send(gateway: "Gateway", url: str, path: Path, raw: bytes) -> Json:
    """Send one file as its sender would: HL7 v2 over MLLP, a sheet over HTTP; return its answer and its end."""
    title = say(*TITLES[path.stem])
    started = time.perf_counter()
    if path.suffix == ".csv":
        status, headers, _ = await asyncio.to_thread(call, url, "/messages/table?wait=stored", body=raw)
        answer, id = f"HTTP {status}", int(headers.get("x-message-id", "0").split(",")[0])
        glance = "  ".join(next(csv.reader(StringIO(raw.decode("gb18030").split("\n")[1])))[2:10])
    else:
        answer = await _mllp(gateway.mllp_port or 0, raw)
        fields = answer.split("MSA|")[1].split("\r")[0].split("|")
        answer, id = fields[0], await _number(fields, gateway)
        glance = _glance(raw)
    milliseconds = (time.perf_counter() - started) * 1000
    await gateway.intake.drained()
    entry = gateway.journal.entry(id)
    row = shown(entry) if entry is not None else {}
    return {
        "file": path.name,
        "title": title,
        "glance": glance,
        "answer": answer,
        "milliseconds": round(milliseconds, 1),
        **row,
    }


async def _mllp(port: int, raw: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x0b" + raw + b"\x1c\r")
    frame = await reader.readuntil(b"\x1c\r")
    writer.close()
    await writer.wait_closed()
    return frame[1:-2].decode("gb18030", "replace")


async def _number(msa: list[str], gateway: "Gateway") -> int:
    """The journal's number of a message: MSA-3 tells it of an accepted one, a refused one is found by MSA-2."""
    last = msa[2].rpartition(" ")[2] if len(msa) > 2 else ""
    if last.isdigit():
        return int(last)
    page = await gateway.journal.entries(Filter(control_id=msa[1]), count=1)
    return page.entries[0].id if page.entries else 0


def _glance(raw: bytes) -> str:
    """The line that tells a reader what the message says."""
    from mappings.hl7v2 import parse

    message = parse(raw)
    lines = [segment.line for name in ("OBX", "OBR", "PV1") for segment in message.all(name)]
    return lines[0] if lines else message.segments[-1].line


def _told(row: Json) -> str:
    """A message in three or four lines: what came, what was answered, what it became."""
    mark = {"stored": styled("✓", "green"), "parked": styled("✗", "red")}.get(row.get("state", ""), "·")
    lines = [f"{mark} {styled(row['title'], 'bold')}", f"    {styled(cut(row['glance'], 96), 'dim')}"]
    charset = (
        f"{row['charset']}{say('（推断）', ' (inferred)') if row.get('charset_guessed') else ''}"
        if "charset" in row
        else ""
    )
    answer = say(
        f"应答 {row['answer']}，{row['milliseconds']} 毫秒",
        f"answered {row['answer']} in {row['milliseconds']} ms",
    )
    lines.append(f"    {answer}  {charset}  #{row.get('id', '-')}".rstrip())
    if row.get("state") == "stored":
        lines.append(f"    → {kinds_of(row['resources'])}")
    lang = say("zh", "en")
    for issue in row.get("issues", ()):
        place = f"{issue['source']}: " if "source" in issue else ""
        lines.append(f"    {styled('!', 'yellow')} {issue['code']} {place}{cut(issue[lang], 120)}")
    if row.get("state") == "parked":
        lines.append(f"      {say('解决', 'fix')}: {row['issues'][0][f'fix_{lang}']}")
    return "\n".join(lines)


def _links(url: str) -> str:
    rows = [
        (f"{url}/", say("首页", "front page")),
        (f"{url}/fhir/metadata", say("能力声明", "CapabilityStatement")),
        (f"{url}/messages", say("消息及其去向", "messages and what became of them")),
        (f"{url}/messages/unmapped", say("待对照的编码", "codes that wait for a map")),
        (f"{url}/docs/errors", say("错误代码", "error codes")),
        (f"{url}/metrics", say("运行指标", "metrics")),
    ]
    return f"\n{table(rows)}\n\n{say('网关继续运行，按 Ctrl+C 停止。', 'The gateway stays up; Ctrl+C stops it.')}"


def _patient(resource: Json) -> list[str]:
    name = resource.get("name", [{}])[0]
    numbers = " ".join(
        dict.fromkeys(row["value"] for row in resource.get("identifier", ()) if "value" in row)
    )
    full = name.get("text") or name.get("family", "") + "".join(name.get("given", ()))
    return [full, resource.get("gender", ""), resource.get("birthDate", ""), numbers]


def _observation(resource: Json) -> list[str]:
    parts = [_value(row) for row in (resource, *resource.get("component", ()))]
    flags = [_text(concept) for concept in resource.get("interpretation", ())]
    when = str(resource.get("effectiveDateTime", ""))[:10]
    return [
        when,
        _text(resource["code"]),
        " / ".join(part for part in parts if part),
        " ".join(flags),
        resource["status"],
    ]


def _value(row: Json) -> str:
    if "valueQuantity" in row:
        quantity = row["valueQuantity"]
        return (
            f"{quantity.get('comparator', '')}{quantity.get('value', '')} {quantity.get('unit', '')}".strip()
        )
    return (
        _text(row["valueCodeableConcept"])
        if "valueCodeableConcept" in row
        else str(row.get("valueString", ""))
    )


def _report(resource: Json) -> list[str]:
    count = len(resource.get("result", ()))
    return [
        _text(resource["code"]),
        resource["status"],
        resource.get("issued", ""),
        say(f"{count} 项", f"{count} results"),
    ]


def _text(concept: Json) -> str:
    coding = concept.get("coding", [{}])
    return str(concept.get("text") or coding[0].get("display") or coding[0].get("code") or "")


def _escaped(search: str) -> str:
    """The search as a URL: its values in percent signs."""
    path, _, query = search.partition("?")
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    return f"{path}?{urlencode(pairs, quote_via=quote, safe='|:,.')}"


CATALOGUES = ("icd10", "lab-items")
TYPED = "/fhir/ValueSet/$expand?url=https://hutong.health/fhir/ValueSet/icd10&filter=gxy&count=5"
SEARCHES = (
    (
        ("患者：两家医院，同一个人", "The patient: two hospitals, one person"),
        "Patient?identifier=11010519491231002X",
        _patient,
    ),
    (
        ("这个人的检查检验结果，新的在前", "This person's results, newest first"),
        "Observation?patient.identifier=11010519491231002X&_sort=-date&_count=20",
        _observation,
    ),
    (("报告", "Reports"), "DiagnosticReport?patient.identifier=11010519491231002X", _report),
)


def _free(wanted: int | None, usual: int) -> int:
    """The port asked for; else the usual one, or any when it is taken."""
    import socket

    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", usual))
        except OSError:
            return 0
    return usual
