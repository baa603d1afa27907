"""Snapshots: what is frozen reads back, is found by one to three characters, and is refused when it is damaged."""

import csv
import gzip
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.code_system import Filter
from terminology.hanzi import fold, is_han, readings
from terminology.snapshot import build, grams, hierarchy
from terminology.snapshot.build import Concept, Designation, DuplicateCode, UnknownParent, write
from terminology.snapshot.code_system import SnapshotCodeSystem
from terminology.snapshot.header import DamagedSnapshot
from terminology.snapshot.hierarchy import CyclicHierarchy
from terminology.snapshot.library import EFFECTIVE, CatalogueLibrary
from terminology.snapshot.snapshot import Snapshot
from terminology.tables.domain import TABLES

META = {
    "resource": {
        "url": "urn:test",
        "version": "1",
        "name": "Test",
        "property": [{"code": "kind", "type": "string"}],
    }
}

CONCEPTS = [
    Concept("I10", "原发性高血压"),
    Concept("I10.x00", "高血压", parents=("I10",), properties=[("kind", "chronic")]),
    Concept(
        "I10.x01", "高血压1级", parents=("I10.x00",), designations=[Designation("Hypertension grade 1", "en")]
    ),
    Concept("E11", "2型糖尿病", definition="胰岛素抵抗为主"),
    Concept("R03", "重度贫血", spellings=("zdpx",)),
    Concept("Z99", "旧编码", is_inactive=True),
    Concept("Z98", "Ⅱ度烧伤"),
]


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    write(tmp_path / "a.snapshot", CONCEPTS, META)
    return Snapshot(tmp_path / "a.snapshot")


def found(snapshot: Snapshot, text: str) -> list[str]:
    return [snapshot.code(ordinal) for ordinal in snapshot.search(text).tolist()]


def test_rows_read_back(snapshot: Snapshot) -> None:
    ordinal = snapshot.ordinal("I10.x01")
    assert ordinal == 2
    assert (snapshot.display(ordinal), snapshot.designations(ordinal)[0].value) == (
        "高血压1级",
        "Hypertension grade 1",
    )
    assert snapshot.definition(3) == "胰岛素抵抗为主"
    assert list(snapshot.properties(1)) == [("kind", "chronic")]
    assert snapshot.ordinal("I1") is None
    assert snapshot.is_inactive(5)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("高血压", ["I10.x00", "I10.x01", "I10"]),
        ("gxy", ["I10.x00", "I10.x01", "I10"]),
        ("gaoxueya", ["I10.x00", "I10.x01", "I10"]),
        ("gaoxuey", ["I10.x00", "I10.x01", "I10"]),
        ("gaox", ["I10.x00", "I10.x01", "I10"]),
        ("yuanfaxinggao", ["I10"]),
        ("gaoxueya1j", ["I10.x01"]),
        ("yfxgxy", ["I10"]),
        ("aoxue", []),
        ("xueya", ["I10.x00", "I10.x01", "I10"]),
        ("高", ["I10.x00", "I10.x01", "I10"]),
        ("i10", ["I10", "I10.x00", "I10.x01"]),
        ("I10.x0", ["I10.x00", "I10.x01"]),
        ("２型", ["E11"]),
        ("tnb", ["E11"]),
        ("zhongdu", ["R03"]),
        ("chongdu", ["R03"]),
        ("cdp", ["R03"]),
        ("zdpx", ["R03"]),
        ("II度", ["Z98"]),
        ("hypertension", ["I10.x01"]),
        ("高血压 1级", ["I10.x01"]),
        ("低血压", []),
        ("uey", []),
    ],
)
def test_typed_text_finds_and_ranks(snapshot: Snapshot, text: str, codes: list[str]) -> None:
    assert found(snapshot, text) == codes


def test_subsumption_in_a_tree(snapshot: Snapshot) -> None:
    assert snapshot.hierarchy.subsumes(0, 2)
    assert not snapshot.hierarchy.subsumes(2, 0)
    assert not snapshot.hierarchy.subsumes(0, 0)
    assert snapshot.hierarchy.descendants(0).tolist() == [1, 2]
    assert snapshot.hierarchy.ancestors(2).tolist() == [0, 1]


def test_subsumption_with_two_parents(tmp_path: Path) -> None:
    rows = [
        Concept("a", "a"),
        Concept("b", "b"),
        Concept("c", "c", parents=("a", "b")),
        Concept("d", "d", parents=("c",)),
    ]
    write(tmp_path / "p.snapshot", rows, META)
    hierarchy = Snapshot(tmp_path / "p.snapshot").hierarchy
    assert [hierarchy.subsumes(above, 3) for above in range(4)] == [True, True, True, False]
    assert hierarchy.descendants(1).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([Concept("a", "a"), Concept("a", "b")], DuplicateCode),
        ([Concept("a", "a", parents=("x",))], UnknownParent),
        ([Concept("a", "a", parents=("b",)), Concept("b", "b", parents=("a",))], CyclicHierarchy),
    ],
)
def test_a_broken_table_leaves_no_file(tmp_path: Path, rows: list[Concept], error: type[Exception]) -> None:
    with pytest.raises(error):
        write(tmp_path / "x.snapshot", rows, META)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"HTSNAP03", b"garbage" * 20])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "x.snapshot"
    path.write_bytes(damage)
    with pytest.raises((DamagedSnapshot, ValueError)):
        Snapshot(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.snapshot"
    write(path, CONCEPTS, META)
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(DamagedSnapshot):
        Snapshot(path)


class TestCodeSystem:
    def test_filters(self, tmp_path: Path) -> None:
        write(tmp_path / "a.snapshot", CONCEPTS, META)
        system = SnapshotCodeSystem(tmp_path / "a.snapshot")
        assert list(system.select(Filter("concept", "is-a", "I10.x00"))) == [1, 2]
        assert list(system.select(Filter("concept", "descendent-of", "I10.x00"))) == [2]
        assert list(system.select(Filter("kind", "=", "chronic"))) == [1]
        assert list(system.select(Filter("display", "regex", ".*血压.*"))) == [0, 1, 2]
        assert list(system.inactive()) == [5]

    def test_a_regex_of_a_beginning_is_what_the_regex_is(self, tmp_path: Path) -> None:
        write(tmp_path / "a.snapshot", CONCEPTS, META)
        system = SnapshotCodeSystem(tmp_path / "a.snapshot")
        for pattern in (r"I10\..*", r"I10.*", r"I10\.x00x.*", r"Z\..*", r"E.*"):
            expected = [at for at in range(len(system)) if re.fullmatch(pattern, system.code(at))]
            assert list(system.select(Filter("code", "regex", pattern))) == expected

    def test_search_within_a_selection(self, tmp_path: Path) -> None:
        write(tmp_path / "a.snapshot", CONCEPTS, META)
        system = SnapshotCodeSystem(tmp_path / "a.snapshot")
        assert list(system.search("高血压", system.selection([0, 2]))) == [2, 0]

    def test_the_version_in_force_answers_and_the_future_waits(self, tmp_path: Path) -> None:
        for version, day in (("1", "2020-01-01"), ("2", "2099-01-01")):
            resource = META["resource"] | {
                "version": version,
                "content": "complete",
                "extension": [{"url": EFFECTIVE, "valueDate": day}],
            }
            write(tmp_path / f"t-{version}.snapshot", CONCEPTS, {"resource": resource})
        library = CatalogueLibrary(tmp_path)
        current = library.code_system("urn:test", None)
        assert current is not None
        assert current.version == "1"
        assert library.code_system("urn:test", "2") is not None


@pytest.fixture(scope="module")
def icd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, list[str]]:
    text = gzip.decompress((TABLES / "icd10_nhsa_v2.csv.gz").read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))[::8]
    path = tmp_path_factory.mktemp("icd") / "icd.snapshot"
    write(path, [Concept(row["code"], row["display"]) for row in rows], META)
    return Snapshot(path), [row["display"] for row in rows]


@given(st.data())
def test_han_filters_find_exactly_the_names_that_hold_them(
    icd: tuple[Snapshot, list[str]], data: st.DataObject
) -> None:
    """total is exact and no row comes without the text (docs/terminology/search.md)."""
    snapshot, names = icd
    name = fold(data.draw(st.sampled_from(names)))
    start = data.draw(st.integers(0, len(name) - 1))
    part = name[start : start + data.draw(st.integers(1, 5))]
    if not part.strip() or " " in part or not any(map(is_han, part)):
        return
    expected = {number for number, other in enumerate(names) if part in fold(other)}
    assert set(snapshot.search(part).tolist()) == expected


@given(st.data())
def test_initials_find_every_name_that_reads_so(icd: tuple[Snapshot, list[str]], data: st.DataObject) -> None:
    snapshot, names = icd
    number = data.draw(st.integers(0, len(names) - 1))
    spoken = [readings(character) for character in fold(names[number])]
    letters = [data.draw(st.sampled_from(options))[0] for options in spoken if options[0]]
    start = data.draw(st.integers(0, max(0, len(letters) - 1)))
    typed = "".join(letters[start : start + data.draw(st.integers(1, 4))])
    if typed and typed.isascii() and typed.isalpha():
        assert number in snapshot.search(typed).tolist()


def test_ranks_are_stable_between_short_and_long_filters(icd: tuple[Snapshot, list[str]]) -> None:
    snapshot, _ = icd
    both = np.intersect1d(snapshot.search("糖尿"), snapshot.search("糖尿病"))
    assert len(both) == len(snapshot.search("糖尿病"))


class TestIndexInParts:
    """A catalogue of any size is indexed block by block and sorted range by range; the lists are the same."""

    def test_small_blocks_and_ranges_give_the_same_lists(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path / "whole.snapshot", CONCEPTS, META)
        monkeypatch.setattr(build, "BLOCK", 2)
        monkeypatch.setattr(grams, "PART", 7)
        told: list[tuple[int, int]] = []
        write(tmp_path / "parts.snapshot", CONCEPTS, META, progress=lambda *done: told.append(done))
        whole, parts = Snapshot(tmp_path / "whole.snapshot"), Snapshot(tmp_path / "parts.snapshot")
        assert whole.gram_key.tolist() == sorted(whole.gram_key.tolist())
        assert len(whole.gram_ord) == len(parts.gram_ord)
        for text in (
            "高",
            "血压",
            "高血压1",
            "gxy",
            "xue",
            "gaoxueya",
            "gaox",
            "zhongd",
            "zdp",
            "i10",
            "hyp",
            "型糖",
        ):
            assert found(whole, text) == found(parts, text) != []
        assert told == [(2, 7), (4, 7), (6, 7), (7, 7)]
        assert {path.name for path in tmp_path.iterdir()} == {"whole.snapshot", "parts.snapshot"}

    def test_ancestors_that_would_be_too_many_are_walked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [
            Concept(f"c{n}", f"c{n}", parents=[f"c{n - 1}", *([f"c{n - 2}"] if n > 1 else [])] if n else [])
            for n in range(40)
        ]
        write(tmp_path / "closed.snapshot", rows, META)
        monkeypatch.setattr(hierarchy, "MAX_CLOSURE", 100)
        write(tmp_path / "walked.snapshot", rows, META)
        closed, walked = (Snapshot(tmp_path / f"{name}.snapshot").hierarchy for name in ("closed", "walked"))
        assert closed.ancestors(39).tolist() == list(range(39))
        for ordinal in range(40):
            assert walked.ancestors(ordinal).tolist() == closed.ancestors(ordinal).tolist()
            assert walked.descendants(ordinal).tolist() == closed.descendants(ordinal).tolist()
            assert walked.subsumes(3, ordinal) == closed.subsumes(3, ordinal)


class TestLibraryWithDamage:
    def test_a_file_that_cannot_be_read_does_not_silence_the_others(self, tmp_path: Path) -> None:
        write(tmp_path / "a-1.snapshot", CONCEPTS, META)
        (tmp_path / "b-1.snapshot").write_bytes(b"HTSNAP01 of an earlier version")
        assert [row["url"] for row in CatalogueLibrary(tmp_path).code_systems()] == ["urn:test"]
