"""Measure the adapters: bytes in → resources → JSON bytes, one process, processor time (so that neighbours don't count).

Run as `scripts/bench adapters [ROW…] [--seconds N]`. Each row repeats its work for some seconds after warming up and
prints its best tenth of a second's rate; a row that misses its bar is marked and the exit code is 1.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mappings.convert import convert
from mappings.language.active import ActiveMaps
from terminology.fhirjson import encode

DATA = Path(__file__).resolve().parent.parent / "tests"
MAPS = ActiveMaps()


@dataclass(frozen=True)
class Row:
    """`make` prepares the work and returns it with how many things one call handles. `bar`: things a second at least."""

    name: str
    what: str
    bar: float
    make: Callable[[], tuple[Callable[[], object], int]]


ROWS: list[Row] = []
# What rows leave running, to be stopped at the end.
LAST: list[Callable[[], None]] = []


def row(name: str, what: str, bar: float) -> Callable[[Callable[[], tuple[Callable[[], object], int]]], None]:
    def register(make: Callable[[], tuple[Callable[[], object], int]]) -> None:
        ROWS.append(Row(name, what, bar, make))

    return register


def to_json(body: bytes, adapter: str) -> None:
    for result in convert(body, MAPS, adapter=adapter, limit=1_000_000):
        for entry in result.entries:
            encode(entry.resource)


def sheet(count: int) -> bytes:
    chance = random.Random(1)
    head = "身份证号,姓名,性别,检查日期,收缩压,舒张压"
    rows = (
        f"3701{number:014},张三{number % 97},{number % 2 + 1},2026031{number % 10},{chance.randrange(100, 180)},{chance.randrange(60, 110)}"
        for number in range(count)
    )
    return "\n".join([head, *rows]).encode("gb18030")


BLOOD_PRESSURE = """
mapping: bench
source: {format: table}
tables:
  sex: {"1": male, "2": female, "*": unknown}
resources:
  - id: patient
    type: Patient
    key: 身份证号
    shared: true
    set:
      identifier: [{value: 身份证号}]
      name: [姓名 | xpn]
      gender: 性别 | table sex
  - id: pressure
    type: Observation
    key: [身份证号, 检查日期, '"bp"']
    set:
      status: =final
      code: {coding: [{system: =http://loinc.org, code: "=85354-9"}], text: =血压}
      subject: ref patient
      effectiveDateTime: 检查日期 | datetime
      component:
        - {code: {text: =收缩压}, valueQuantity: {value: 收缩压 | decimal, unit: "=mm[Hg]"}}
        - {code: {text: =舒张压}, valueQuantity: {value: 舒张压 | decimal, unit: "=mm[Hg]"}}
"""


@row("csv", "CSV rows (GBK) → Patient + Observation", 20_000)
def csv_rows() -> tuple[Callable[[], object], int]:
    from mappings.language.compile import Map
    from mappings.language.document import read_document
    from mappings.rows import read_rows

    map = Map(read_document(BLOOD_PRESSURE.encode(), file="bench.yaml"))
    raw = sheet(2_000)

    def work() -> None:
        for record in read_rows(raw).rows:
            map.convert(record, MAPS.sender, MAPS.translator)

    return work, 2_000


@row("follow-up", "CSV rows of the follow-up sheet → 11 resources each", 10_000)
def follow_up_rows() -> tuple[Callable[[], object], int]:
    head = "城乡居民健康档案编号,本人姓名,性别代码,出生日期,本次随访日期,随访方式代码,收缩压,舒张压,体重,身高,心率,日吸烟量,随访医师姓名,下次随访日期"
    rows = [
        f"3701020010010{n:04},张三{n},2,19491231,20260315,1,{120 + n % 40},{80 + n % 20},65,165,72,0,李建国,20260615"
        for n in range(1_000)
    ]
    raw = "\n".join([head, *rows]).encode()
    return (lambda: [None for _ in convert(raw, MAPS, adapter="table", limit=1_000_000)]), 1_000


@row("xlsx", "XLSX rows of 14 columns → rows", 5_000)
def xlsx_rows() -> tuple[Callable[[], object], int]:
    import io

    from openpyxl import Workbook

    from mappings.xlsx import read_workbook

    book = Workbook()
    page = book.active
    page.append([f"列{number}" for number in range(14)])
    for number in range(1_000):
        page.append([f"文本{number}", *(number * 1.5 for _ in range(13))])
    file = io.BytesIO()
    book.save(file)
    raw = file.getvalue()
    return (lambda: read_workbook(raw)), 1_000


@row("platform", "platform XML (POOR_IN200901UV, laboratory request) → resources", 1_000)
def platform_xml() -> tuple[Callable[[], object], int]:
    raw = (DATA / "golden" / "hl7v3-request" / "laboratory-request" / "message.xml").read_bytes()
    return (lambda: to_json(raw, "hl7v3")), 1


@row("platform-patient", "platform XML (PRPA_IN201311UV02, a person registered) → resources", 1_000)
def platform_patient() -> tuple[Callable[[], object], int]:
    raw = (DATA / "golden" / "hl7v3-patient" / "draft" / "message.xml").read_bytes()
    return (lambda: to_json(raw, "hl7v3")), 1


@row("platform-soap", "the same request in a SOAP 1.2 envelope, GBK, admitted, checked, mapped", 1_000)
def platform_soap() -> tuple[Callable[[], object], int]:
    from datetime import datetime

    from gateway.ingest.hl7v3 import Hl7v3
    from gateway.ingest.kind import Origin

    inner = (DATA / "golden" / "hl7v3-request" / "laboratory-request" / "message.xml").read_text("utf-8")
    raw = (
        '<?xml version="1.0" encoding="GBK"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
        "<HIPMessageServer><action>AddActRequest</action><message><![CDATA["
        + inner
        + "]]></message></HIPMessageServer></s:Body></s:Envelope>"
    ).encode("gb18030")
    kind = Hl7v3(MAPS, clock=datetime.now, ask=None)  # type: ignore[arg-type]  # no question is asked
    origin = Origin("bench", "-", "-", 0)

    def work() -> None:
        (admission,) = kind.admit(raw, origin)
        for entry in kind.map(admission.message).entries:
            encode(entry.resource)

    return work, 1


@row("rhin", "rhin: referral with a document → resources", 500)
def regional() -> tuple[Callable[[], object], int]:
    raw = (DATA / "golden" / "rhin-referral" / "draft" / "message.xml").read_bytes()
    return (lambda: to_json(raw, "rhin")), 1


@row("aecg", "aECG of 12 leads × 10 s → resources (≤ 60 ms)", 1_000 / 60)
def aecg() -> tuple[Callable[[], object], int]:
    raw = (DATA / "data" / "ecg" / "aecg_hl7_example.xml").read_bytes()
    return (lambda: to_json(raw, "aecg")), 1


@row("dicom-ecg", "DICOM ECG of 12 leads × 10 s at 1 kHz → resources", 1_000 / 120)
def dicom_ecg() -> tuple[Callable[[], object], int]:
    raw = (DATA / "data" / "ecg" / "waveform_ecg.dcm").read_bytes()
    return (lambda: to_json(raw, "ecg")), 1


@row("ecg-svg", "SVG drawing 3×4+1 of 12 leads × 10 s (≤ 82 ms)", 1_000 / 82)
def ecg_svg() -> tuple[Callable[[], object], int]:
    from mappings.ecg.draw import draw
    from mappings.ecg.read import read_recording

    recording = read_recording((DATA / "data" / "ecg" / "aecg_hl7_example.xml").read_bytes())
    return (lambda: draw(recording)), 1


def document(name: str) -> bytes:
    return (DATA / "golden" / "cda-laboratory-report" / name / "document.xml").read_bytes()


@row("cda", "C0007 laboratory report (CDA, 3 KB, 1 result) → 12 resources with the original", 500)
def cda() -> tuple[Callable[[], object], int]:
    raw = document("nested-results")
    return (lambda: to_json(raw, "cda")), 1


@row("cda-large", "C0007 laboratory report (CDA, 27 KB, 6 results) → 22 resources with the original", 250)
def cda_large() -> tuple[Callable[[], object], int]:
    raw = document("blood-count")
    return (lambda: to_json(raw, "cda")), 1


@row("cda-back", "resources of that report → C0007 (CDA, 20 KB)", 100)
def cda_back() -> tuple[Callable[[], object], int]:
    from mappings.cda.receive import convert_document
    from mappings.cda.write import write_document
    from mappings.outbound.compile import Envelope

    rows = [entry.resource for entry in convert_document(document("blood-count"), MAPS).entries]
    first = next(row for row in rows if row["resourceType"] == "Composition")
    others = [row for row in rows if row is not first]
    return (lambda: write_document(first, others, MAPS, envelope=Envelope())), 1


@row("dicom", "CT object → Patient, ImagingStudy", 200)
def dicom_object() -> tuple[Callable[[], object], int]:
    raw = (DATA / "data" / "dicom" / "CT_small.dcm").read_bytes()
    return (lambda: to_json(raw, "dicom")), 1


@row("cstore", "C-STORE of 39 KB objects over one association: sender, receiver, disk, index, study", 100)
def c_store() -> tuple[Callable[[], object], int]:
    """A whole gateway in a thread; both ends of the association count, in one process."""
    import asyncio
    import tempfile
    import threading

    from pydicom import dcmread
    from pynetdicom import AE

    from gateway.app import build
    from gateway.settings import Settings

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    settings = Settings(data=Path(folder.name), port=0, mllp=False, dicom=True, dicom_port=0)
    opened, done = threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def run() -> None:
        gateway = await build(settings)
        await gateway.start()
        ports.append(gateway.dicom_port or 0)
        opened.set()
        await done.wait()
        await gateway.close()
        folder.cleanup()

    loop = asyncio.new_event_loop()
    receiver = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    receiver.start()
    opened.wait()
    image = dcmread(DATA / "data" / "dicom" / "CT_small.dcm")
    ae = AE(ae_title="BENCH")
    ae.add_requested_context(image.SOPClassUID)
    association = ae.associate("127.0.0.1", ports[0], ae_title=settings.dicom_ae_title)
    numbers = iter(range(1, 10_000_000))

    def stop() -> None:
        association.release()
        ae.shutdown()
        loop.call_soon_threadsafe(done.set)
        receiver.join(20)

    LAST.append(stop)

    def work() -> None:
        for _ in range(20):
            image.SOPInstanceUID = f"1.2.3.4.{next(numbers)}"
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            assert association.send_c_store(image).Status == 0

    return work, 20


def best_rate(work: Callable[[], object], count: int, seconds: float) -> float:
    """Return things a second of processor time: the best of many short runs."""
    work()
    best = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        runs = 0
        started = time.process_time()
        while (spent := time.process_time() - started) < 0.1:
            work()
            runs += 1
        best = max(best, runs * count / spent)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=", ".join(row.name for row in ROWS))
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    missed = False
    for row in ROWS:
        if chosen.rows and row.name not in chosen.rows:
            continue
        work, count = row.make()
        rate = best_rate(work, count, chosen.seconds)
        missed |= rate < row.bar
        mark = "✓" if rate >= row.bar else "✗"
        print(
            f"{mark} {row.name:<12} {rate:>10,.1f}/s  {1000 / rate:>9.3f} ms  bar {row.bar:>8,.1f}/s  {row.what}",
            flush=True,
        )
    for stop in LAST:
        stop()
    sys.exit(missed)


if __name__ == "__main__":
    main()
