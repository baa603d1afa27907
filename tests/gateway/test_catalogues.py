"""Catalogues from file to snapshot: change sets, dates, rollback; mapping projects with a second person."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from gateway.catalogues.authoring import Catalogue, Catalogues
from gateway.catalogues.publish import to_csv, to_resource, write_snapshot
from gateway.workbench.desk import Desk
from gateway.workbench.projects import Projects
from terminology.catalogue.load import load_table
from terminology.catalogue.row import Row, Table
from terminology.issues import BusinessRule, FhirError, Forbidden, InvalidInput, NotFound
from terminology.snapshot.snapshot import Snapshot

NOW = datetime.fromisoformat("2026-11-24T10:00:00+08:00")
TODAY = NOW.date()
FIRST = [Row("I10", "高血压"), Row("I10.1", "高血压1级", parents=("I10",)), Row("E11", "2型糖尿病")]


@pytest.fixture
def catalogues(tmp_path: Path) -> Iterator[Catalogues]:
    made = Catalogues(tmp_path / "c.sqlite", now=lambda: NOW)
    made.register(Catalogue("dx", "urn:dx", "诊断", "diagnosis", "test"), who="甲")
    yield made
    made.close()


def publish(catalogues: Catalogues, rows: list[Row], effective: date = TODAY) -> int:
    change_set, _ = catalogues.draft("dx", rows, title="t", who="甲")
    catalogues.move(change_set.id, "submitted", who="甲")
    catalogues.move(change_set.id, "approved", who="乙")
    return catalogues.publish(change_set.id, who="乙", effective=effective).number


class TestChangeSets:
    def test_the_author_cannot_approve(self, catalogues: Catalogues) -> None:
        change_set, _ = catalogues.draft("dx", FIRST, title="t", who="甲")
        catalogues.move(change_set.id, "submitted", who="甲")
        with pytest.raises(Forbidden, match="HT-CAT-41"):
            catalogues.move(change_set.id, "approved", who="甲")

    def test_steps_cannot_be_skipped(self, catalogues: Catalogues) -> None:
        change_set, _ = catalogues.draft("dx", FIRST, title="t", who="甲")
        with pytest.raises(BusinessRule, match="HT-CAT-40"):
            catalogues.publish(change_set.id, who="乙", effective=NOW.date())

    def test_the_same_file_again_is_nothing(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        with pytest.raises(InvalidInput, match="HT-CAT-44"):
            catalogues.draft("dx", FIRST, title="t", who="甲")

    def test_a_change_set_against_an_old_version_is_refused(self, catalogues: Catalogues) -> None:
        late, _ = catalogues.draft("dx", FIRST[:2], title="late", who="甲")
        catalogues.move(late.id, "submitted", who="甲")
        catalogues.move(late.id, "approved", who="乙")
        publish(catalogues, FIRST)
        with pytest.raises(BusinessRule, match="HT-CAT-46"):
            catalogues.publish(late.id, who="乙", effective=NOW.date())

    def test_a_version_comes_into_force_on_its_day(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        publish(catalogues, [*FIRST, Row("N18", "慢性肾脏病")], date(2027, 1, 1))
        assert [
            version.number
            for day in ("2026-11-23", "2026-12-31", "2027-01-01")
            if (version := catalogues.in_force("dx", date.fromisoformat(day)))
        ] == [1, 2]
        assert catalogues.change_sets("dx")[0].state == "scheduled"
        catalogues.turn(date(2027, 1, 1))
        assert [row.state for row in catalogues.change_sets("dx")] == ["in-force", "superseded"]

    def test_rollback_is_a_change_set_that_another_person_approves(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        publish(catalogues, [Row("I10", "原发性高血压"), *FIRST[1:], Row("N18", "慢性肾脏病")])
        back = catalogues.rollback("dx", to=1, who="丙", reason="错误")
        assert (back.state, back.author, back.note) == ("submitted", "丙", "错误")
        with pytest.raises(Forbidden, match="HT-CAT-41"):
            catalogues.move(back.id, "approved", who="丙")
        catalogues.move(back.id, "approved", who="丁")
        assert catalogues.publish(back.id, who="丁", effective=TODAY).number == 3
        assert {row.code: row.display for row in catalogues.rows("dx", 3)} == {
            row.code: row.display for row in FIRST
        }
        assert {row.code for row in catalogues.rows("dx", 2)} == {"I10", "I10.1", "E11", "N18"}

    def test_a_scheduled_version_can_be_taken_back_before_its_day(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        publish(catalogues, [Row("I10", "原发性高血压")], date(2027, 1, 1))
        scheduled = catalogues.change_sets("dx")[0]
        assert catalogues.move(scheduled.id, "rejected", who="丁", note="错误").state == "rejected"
        assert [(row.number, row.effective_to) for row in catalogues.versions("dx")] == [(1, None)]
        assert [row.code for row in catalogues.rows("dx", 1)] == ["I10", "I10.1", "E11"]
        assert publish(catalogues, FIRST[:2], date(2027, 1, 1)) == 2
        assert [row.code for row in catalogues.rows("dx", 2)] == ["I10", "I10.1"]

    def test_what_is_in_force_or_built_upon_is_not_taken_back(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        with pytest.raises(BusinessRule, match="HT-CAT-40"):
            catalogues.move(catalogues.change_sets("dx")[0].id, "rejected", who="丁")
        publish(catalogues, FIRST[:2], date(2027, 1, 1))
        scheduled = catalogues.change_sets("dx")[0]
        publish(catalogues, FIRST[:1], date(2027, 2, 1))
        with pytest.raises(BusinessRule, match="HT-CAT-49"):
            catalogues.move(scheduled.id, "rejected", who="丁")

    def test_each_version_is_announced_once_when_planned_and_once_in_force(
        self, catalogues: Catalogues
    ) -> None:
        publish(catalogues, FIRST)
        publish(catalogues, FIRST[:2], date(2027, 1, 1))
        told = catalogues.to_announce(TODAY)
        assert [(topic, version.number) for topic, _, version in told] == [("in-force", 1), ("scheduled", 2)]
        for topic, _, version in told:
            catalogues.announced(version.change_set, topic)
        assert catalogues.to_announce(TODAY) == []
        later = catalogues.to_announce(date(2027, 1, 1))
        assert [(topic, version.number) for topic, _, version in later] == [("in-force", 2)]

    def test_every_step_is_audited(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        assert [(row["who"], row["action"]) for row in reversed(catalogues.audit())] == [
            ("甲", "register"), ("甲", "draft"), ("甲", "submitted"), ("乙", "approved"), ("乙", "publish"),
        ]  # fmt: skip

    def test_the_difference_names_reused_codes_and_broken_parents(self, catalogues: Catalogues) -> None:
        publish(catalogues, FIRST)
        _, found = catalogues.draft(
            "dx", [Row("I10.1", "高血压1级", parents=("I10",)), Row("E11", "骨折")], title="t", who="甲"
        )
        assert [change.code for change in found.retired] == ["I10"]
        assert [change.code for change in found.reused] == ["E11"]
        assert found.broken == (("I10.1", "I10"),)


def test_a_snapshot_and_exports_hold_the_version(catalogues: Catalogues, tmp_path: Path) -> None:
    number = publish(catalogues, FIRST)
    version = catalogues.versions("dx")[-1]
    snapshot = Snapshot(write_snapshot(catalogues, version, tmp_path))
    assert snapshot.count == 3
    again = load_table("x.csv", to_csv(catalogues.rows("dx", number)).encode())
    assert [row.content() for row in again.rows] == [row.content() for row in FIRST]
    resource = to_resource(catalogues.get("dx"), version, catalogues.rows("dx", number))
    assert resource["concept"][1]["property"] == [{"code": "parent", "valueCode": "I10"}]
    assert [row.code for row in load_table("x.json", __import__("json").dumps(resource).encode()).rows] == [
        "I10",
        "I10.1",
        "E11",
    ]


class TestLoading:
    def test_gbk_is_read_and_reported(self) -> None:
        table = load_table("a.csv", "编码,名称,拼音码\nA,高血压,gxy\n".encode("gbk"))
        assert (table.rows[0].display, table.rows[0].spellings, table.encoding) == (
            "高血压",
            ("gxy",),
            "gb18030",
        )
        assert [problem.code for problem in table.problems] == ["HT-CAT-06"]

    @pytest.mark.parametrize(
        ("name", "content", "code"),
        [
            ("a.csv", b"code,display\nA,a\nA,b\n", "HT-CAT-13"),
            ("a.csv", b"code,display,parent\nA,a,X\n", "HT-CAT-14"),
            ("a.csv", b"code,display,parent\nA,a,B\nB,b,A\n", "HT-CAT-15"),
            ("a.csv", b"code,display\n,a\n", "HT-CAT-11"),
        ],
    )
    def test_bad_rows_are_named(self, name: str, content: bytes, code: str) -> None:
        table = load_table(name, content)
        assert [problem.code for problem in table.problems] == [code]
        assert not table.is_loadable

    @pytest.mark.parametrize(
        ("name", "content", "code"),
        [
            ("a.csv", b"", "HT-CAT-08"),
            ("a.csv", b"x,y\n1,2\n", "HT-CAT-01"),
            ("a.csv", b"\xff\xff\x81", "HT-CAT-07"),
            ("a.doc", b"x", "HT-CAT-03"),
            ("a.json", b"{", "HT-CAT-05"),
            ("a.json", b"{}", "HT-CAT-16"),
            ("a.xlsx", b"PK\x03\x04broken", "HT-CAT-05"),
            ("a.tgz", b"\x1f\x8bbroken", "HT-CAT-05"),
            ("a.xml", b"<a/>", "HT-CAT-19"),
            ("a.xml", b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "HT-CAT-19"),
        ],
    )
    def test_bad_files_are_refused(self, name: str, content: bytes, code: str) -> None:
        with pytest.raises(FhirError, match=code):
            load_table(name, content)

    def test_claml(self) -> None:
        text = """<ClaML version="2.0.0"><Class code="A00" kind="category"><Rubric kind="preferred"><Label xml:lang="zh">霍乱</Label></Rubric></Class>
        <Class code="A00.0" kind="category"><SuperClass code="A00"/><Rubric kind="preferred"><Label xml:lang="zh">古典霍乱</Label></Rubric></Class></ClaML>"""
        table = load_table("icd.xml", text.encode())
        assert [(row.code, row.display, row.parents) for row in table.rows] == [
            ("A00", "霍乱", ()),
            ("A00.0", "古典霍乱", ("A00",)),
        ]

    def test_xlsx(self, tmp_path: Path) -> None:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        book.active.append(["编码", "名称"])
        book.active.append(["001", "高血压"])
        book.save(tmp_path / "a.xlsx")
        assert load_table("a.xlsx", (tmp_path / "a.xlsx").read_bytes()).rows[0].code == "001"


class TestWorkbench:
    @pytest.fixture
    def desk(self, catalogues: Catalogues, tmp_path: Path) -> Iterator[Desk]:
        publish(catalogues, FIRST)
        projects = Projects(tmp_path / "w.sqlite", now=lambda: NOW)
        yield Desk(catalogues, projects, now=lambda: NOW)
        projects.close()

    TABLE = Table((Row("1", "高血压"), Row("2", "糖尿病2型"), Row("3", "感冒")))

    def test_accepting_in_bulk_waits_for_a_second_person(self, desk: Desk) -> None:
        project, new, _ = desk.open("zy", "diagnosis", self.TABLE, catalogue="dx", who="甲")
        assert new == 3
        assert [row[0] for row in desk.accept_above(project, 0.95, who="甲")] == ["1"]
        with pytest.raises(Forbidden, match="HT-CAT-51"):
            desk.projects.review(project, "1", who="甲", approve=True)
        desk.projects.review(project, "1", who="乙", approve=True)
        assert desk.projects.counts(project) == {"approved": 1, "unmapped": 2}

    def test_of_two_that_are_equally_like_a_person_chooses(self, catalogues: Catalogues, desk: Desk) -> None:
        twins = [Row("T1", "白细胞"), Row("T2", "白细胞"), Row("T3", "尿素")]
        publish(catalogues, [*FIRST, *twins])
        table = Table((Row("1", "白细胞"), Row("2", "尿素")))
        project, _, _ = desk.open("zy", "lab-item", table, catalogue="dx", who="甲")
        assert [row.target.code for row in desk.suggest(project, desk.projects.row(project, "1"))][:2] == [
            "T1",
            "T2",
        ]
        assert [row[0] for row in desk.accept_above(project, 0.9, who="甲")] == ["2"]
        assert desk.projects.row(project, "1").state == "unmapped"

    def test_approvals_teach_other_members(self, desk: Desk) -> None:
        project, _, _ = desk.open("zy", "diagnosis", Table((Row("9", "HBP"),)), catalogue="dx", who="甲")
        desk.propose(project, "9", target="I10", who="甲")
        desk.projects.review(project, "9", who="乙", approve=True)
        other, _, _ = desk.open("other", "diagnosis", Table((Row("k", "hbp"),)), catalogue="dx", who="丙")
        assert desk.suggest(other, desk.projects.row(other, "k"))[0].reasons == ("alias",)

    def test_blind_authors_who_differ_make_a_conflict(self, desk: Desk) -> None:
        project, _, _ = desk.open("zy", "diagnosis", self.TABLE, catalogue="dx", who="甲", is_blind=True)
        assert desk.propose(project, "1", target="I10", who="甲") == "draft"
        assert desk.propose(project, "1", target="I10.1", who="乙") == "conflict"
        with pytest.raises(Forbidden):
            desk.projects.reconcile(project, "1", target="I10", who="乙")
        assert desk.projects.reconcile(project, "1", target="I10", who="丙") == "approved"

    def test_unknown_targets_members_and_rows_are_refused(self, desk: Desk) -> None:
        project, _, _ = desk.open("zy", "diagnosis", self.TABLE, catalogue="dx", who="甲")
        with pytest.raises(InvalidInput, match="HT-CAT-57"):
            desk.propose(project, "1", target="nope", who="甲")
        with pytest.raises(NotFound, match="HT-CAT-53"):
            desk.propose(project, "77", target="I10", who="甲")
        with pytest.raises(NotFound, match="HT-CAT-52"):
            desk.projects.get("nobody", "diagnosis")

    def test_the_concept_map_holds_what_is_approved(self, desk: Desk) -> None:
        project, _, _ = desk.open("zy", "diagnosis", self.TABLE, catalogue="dx", who="甲")
        desk.propose(project, "1", target="I10", who="甲")
        desk.propose(project, "3", target=None, who="甲", note="目录无此病")
        with pytest.raises(BusinessRule, match="HT-CAT-58"):
            desk.concept_map(project)
        for code in ("1", "3"):
            desk.projects.review(project, code, who="乙", approve=True)
        elements = desk.concept_map(project)["group"][0]["element"]
        assert [element["target"][0]["equivalence"] for element in elements] == ["equivalent", "unmatched"]

    def test_a_new_catalogue_version_marks_stale_targets(self, desk: Desk, catalogues: Catalogues) -> None:
        project, _, _ = desk.open("zy", "diagnosis", self.TABLE, catalogue="dx", who="甲")
        for code, target in (("1", "I10"), ("2", "E11")):
            desk.propose(project, code, target=target, who="甲")
            desk.projects.review(project, code, who="乙", approve=True)
        publish(catalogues, FIRST[:2])
        assert desk.carry_over(project, who="甲") == ["2"]
        assert desk.projects.row(desk.projects.get("zy", "diagnosis"), "1").state == "approved"
