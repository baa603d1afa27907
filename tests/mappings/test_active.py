"""Maps in use: overlays, hot reload, refusal of broken maps, versions (mappings/language/active.py)."""

import shutil
from pathlib import Path

import pytest

from mappings.hl7v2 import Message, parse
from mappings.language.active import ActiveMaps
from mappings.language.result import Result
from terminology.issues import UnmappableMessage

MAPS = Path(__file__).parent / "maps"
MESSAGE = "MSH|^~\\&|{0}|H1|GW|X|20260315||ORU^R01|C1|P|2.4\rPID|1||P1||张^三\rOBR|1||R1|X^Y|||||||||||||||||||||F\r"
OVERLAY = """mapping: site-lab
extends: lab-result
tables: {report-status: {F: amended}}
resources:
  - id: patient
    set:
      telecom: ~
      language: =zh
"""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(MAPS / "lab.yaml", tmp_path / "lab.yaml")
    return tmp_path


@pytest.fixture
def maps(folder: Path, clock: Clock) -> ActiveMaps:
    return ActiveMaps(folder, shipped=None, clock=clock)


def message(application: str = "LIS") -> Message:
    return parse(MESSAGE.format(application))


def status(result: Result) -> str:
    return next(str(entry.resource["status"]) for entry in result.entries if entry.type == "DiagnosticReport")


class TestOverlay:
    def test_lines_and_rows_are_replaced_and_removed(self, maps: ActiveMaps, folder: Path) -> None:
        (folder / "site.yaml").write_text(OVERLAY)
        result = maps.run(message())
        patient = result.entries[0].resource
        assert (result.mapping, status(result), patient["language"]) == ("site-lab", "amended", "zh")
        assert patient["name"] == [{"text": "张三"}]

    def test_for_one_sender_only(self, maps: ActiveMaps, folder: Path) -> None:
        (folder / "site.yaml").write_text(OVERLAY + 'source: {senders: ["LIS2|*"]}\n')
        assert [maps.run(message(name)).mapping for name in ("LIS", "LIS2")] == ["lab-result", "site-lab"]

    def test_resources_are_added_and_removed(self, maps: ActiveMaps, folder: Path) -> None:
        (folder / "site.yaml").write_text(
            "mapping: site-lab\nextends: lab-result\nresources:\n  - {id: report, remove: true}\n"
            "  - {id: flag, type: Flag, key: PID-3.1, set: {status: =active, code.text: =seen, subject: ref patient}}\n"
        )
        assert [entry.type for entry in maps.run(message()).entries] == ["Patient", "Flag"]

    def test_the_base_must_exist(self, maps: ActiveMaps, folder: Path) -> None:
        (folder / "site.yaml").write_text(OVERLAY.replace("lab-result", "nothing"))
        maps.refresh(now=True)
        assert [issue.code for issue in maps.problems[str(folder / "site.yaml")]] == ["HT-MAP-23"]

    def test_ids_do_not_change_by_overlay(self, maps: ActiveMaps, folder: Path) -> None:
        before = [entry.id for entry in maps.run(message()).entries]
        (folder / "site.yaml").write_text(OVERLAY)
        maps.refresh(now=True)
        assert [entry.id for entry in maps.run(message()).entries] == before


class TestHotReload:
    def test_a_change_is_active_within_two_seconds(
        self, maps: ActiveMaps, folder: Path, clock: Clock
    ) -> None:
        assert maps.run(message()).mapping == "lab-result"
        (folder / "site.yaml").write_text(OVERLAY)
        clock.now += 2
        assert maps.run(message()).mapping == "site-lab"
        (folder / "site.yaml").unlink()
        clock.now += 2
        assert maps.run(message()).mapping == "lab-result"

    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ("=zh", "PID-900", "HT-MAP-10"),
            ("language", "langauge", "HT-MAP-11"),
            ("mapping: site-lab", "mapping: [", "HT-MAP-01"),
            ("=zh\n", "=zh\ntests: [{record: {}, expect: {Patient.language: de}}]\n", "HT-MAP-31"),
        ],
    )
    def test_a_broken_map_is_refused_and_the_old_one_stays(
        self, maps: ActiveMaps, folder: Path, clock: Clock, old: str, new: str, code: str
    ) -> None:
        site = folder / "site.yaml"
        site.write_text(OVERLAY)
        version = maps.run(message()).version
        site.write_text(OVERLAY.replace(old, new))
        clock.now += 2
        if code == "HT-MAP-31":
            site.write_text(OVERLAY + "tests: [{message: x, expect: {Patient.language: de}}]\n")
        assert maps.run(message()).version == version
        assert [issue.code for issue in maps.problems[str(site)]] == [code]
        site.write_text(OVERLAY + "# repaired\n")
        clock.now += 2
        assert maps.run(message()).version != version
        assert maps.problems == {}

    def test_a_failing_test_keeps_a_map_out(self, maps: ActiveMaps, folder: Path, clock: Clock) -> None:
        wrong = (
            (folder / "lab.yaml")
            .read_text()
            .replace("Observation.status: final", "Observation.status: amended")
        )
        maps.run(message())
        (folder / "lab.yaml").write_text(wrong)
        clock.now += 2
        assert maps.run(message()).mapping == "lab-result"
        issue = maps.problems[str(folder / "lab.yaml")][0]
        assert (issue.code, issue.values["expected"], issue.values["found"]) == (
            "HT-MAP-30",
            "amended",
            "final",
        )

    def test_files_are_looked_at_once_a_second(self, maps: ActiveMaps, folder: Path, clock: Clock) -> None:
        maps.run(message())
        (folder / "site.yaml").write_text(OVERLAY)
        clock.now += 0.5
        assert maps.run(message()).mapping == "lab-result"

    def test_versions_stay_for_replay(self, maps: ActiveMaps, folder: Path, clock: Clock) -> None:
        first = maps.run(message()).version
        text = (folder / "lab.yaml").read_text()
        for old, new in (("F: final", "F: corrected"), ("status: final", "status: corrected")):
            text = text.replace(old, new)
        (folder / "lab.yaml").write_text(text)
        clock.now += 2
        second = maps.run(message()).version
        assert first != second
        old = maps.versions[first].convert(message(), maps.sender, maps.translator)
        assert (status(old), status(maps.run(message()))) == ("final", "corrected")


class TestChoice:
    def test_two_files_of_one_name(self, maps: ActiveMaps, folder: Path) -> None:
        shutil.copy(folder / "lab.yaml", folder / "other.yaml")
        maps.refresh(now=True)
        assert [issue.code for issue in maps.problems[str(folder / "other.yaml")]] == ["HT-MAP-24"]

    def test_what_no_map_takes(self, maps: ActiveMaps) -> None:
        assert (maps.handles("ORU", "R01"), maps.handles("ADT", "A01")) == (True, False)
        assert maps.events() == ["ORU^R01", "ORU^R30"]
        with pytest.raises(UnmappableMessage) as raised:
            maps.run(parse("MSH|^~\\&|LIS|H1|||20260315||ADT^A01|1"))
        assert raised.value.issues[0].code == "HT-MAP-35"
        assert "ORU^R30" in raised.value.issues[0].text("en")

    def test_the_event_wins_over_all_messages(self, folder: Path) -> None:
        (folder / "any.yaml").write_text(
            "mapping: any\nsource: {format: hl7v2, messages: ['*']}\nresources: []\n"
        )
        maps = ActiveMaps(folder, shipped=None)
        assert maps.run(message()).mapping == "lab-result"
        assert maps.run(parse("MSH|^~\\&|LIS|H1|||20260315||ADT^A01|1")).mapping == "any"
