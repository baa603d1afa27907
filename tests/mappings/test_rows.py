"""Sheets and JSON bodies: reading (mappings/rows.py) and mapping (mappings/language/sources/rows.py)."""

from decimal import Decimal
from pathlib import Path

import pytest

from mappings.convert import convert
from mappings.language.active import ActiveMaps
from mappings.rows import read_rows
from terminology.issues import MalformedMessage, UnmappableMessage

MAPS = ActiveMaps(Path(__file__).parent / "maps", shipped=None)
SHEET = "xm,sfzh,xb,sfrq,收缩压(mmHg),szy,bz\n张三,110,1,20260101,130.0,85,好\n李四,111,2,20260102,,90,\n"


class TestReading:
    @pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
    @pytest.mark.parametrize("separator", [",", "\t", ";"])
    def test_csv(self, codec: str, separator: str) -> None:
        rows = read_rows(SHEET.replace(",", separator).encode(codec))
        assert rows.columns[4] == "收缩压(mmHg)"
        assert rows.rows[1] == {"xm": "李四", "sfzh": "111", "xb": "2", "sfrq": "20260102", "szy": "90"}

    def test_quoted_cells_keep_their_breaks(self) -> None:
        assert read_rows(b'a,b\n"x\ny","1,5"\n').rows == [{"a": "x\ny", "b": "1,5"}]

    def test_json(self) -> None:
        assert read_rows('{"xm": "张三", "n": 1.50}'.encode()).rows == [{"xm": "张三", "n": Decimal("1.50")}]
        assert len(read_rows(b'[{"a": 1}, {"a": 2}]').rows) == 2
        assert len(read_rows(b'{"a": 1}\n{"a": 2}\n').rows) == 2

    @pytest.mark.parametrize("raw", [b"", b"one column\n1\n", b"a,b\n", b"{", b"[1]", b"[]", b"[" * 100_000])
    def test_refused(self, raw: bytes) -> None:
        with pytest.raises(MalformedMessage) as raised:
            read_rows(raw)
        assert raised.value.issues[0].code == "HT-MAP-36"


class TestMapping:
    def test_a_sheet_finds_its_map_by_its_columns(self) -> None:
        first, second = convert(SHEET.encode("gbk"), MAPS)
        assert first.mapping == "visit"
        pressure = first.entries[1].resource
        assert [row["valueQuantity"]["value"] for row in pressure["component"]] == [
            Decimal("130.0"),
            Decimal(85),
        ]
        # A block of which only constants have a value says nothing.
        assert [row["code"]["text"] for row in second.entries[1].resource["component"]] == ["舒张压"]

    def test_unread_columns_are_told(self) -> None:
        first, _ = convert(SHEET.encode(), MAPS, adapter="visit")
        assert [(row.field, row.example) for row in first.coverage.unread] == [("bz", "好")]

    def test_trace_names_the_columns(self) -> None:
        first, _ = convert(SHEET.encode(), MAPS, adapter="table", explain=True)
        found = {leaf.path: leaf.sources for leaf in first.trace or ()}
        assert found["Observation.component[0].valueQuantity.value"] == ("收缩压(mmHg)",)
        assert found["Observation.id"] == ("sfzh", "sfrq")

    def test_lists_in_a_body(self) -> None:
        body = '{"sfzh": "110", "xm": "张三", "sfrq": "20260101", "yy": [{"ym": "A"}, {"ym": "B", "jl": 5}]}'
        (result,) = convert(body.encode(), MAPS, explain=True)
        drugs = [entry.resource for entry in result.entries if entry.type == "MedicationStatement"]
        assert [row["medicationCodeableConcept"]["text"] for row in drugs] == ["A", "B"]
        assert [(row.field, row.example) for row in result.coverage.unread] == [("yy[].jl", "5")]
        assert ("yy[1].ym",) in [leaf.sources for leaf in result.trace or ()]

    def test_shared_ids_do_not_depend_on_the_facility(self) -> None:
        from mappings.language.converters import Sender

        row = {"sfzh": "110", "sfrq": "1"}
        one, two = (MAPS.run_row(row, "visit", sender=Sender(facility=name)) for name in ("A", "B"))
        assert one.entries[0].id == two.entries[0].id
        assert one.entries[1].id != two.entries[1].id

    def test_a_sheet_of_nobody(self) -> None:
        with pytest.raises(UnmappableMessage):
            list(convert(b"p,q,r\n1,2,3\n", MAPS))
