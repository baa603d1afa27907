"""Sheets as they come: workbooks with several sheets, GBK CSV, envelopes, capitals of SQL, rows that are off by one."""

import io
import json
import random
import zipfile
from datetime import date, datetime, time

import pytest
from openpyxl import Workbook

from mappings.convert import choose_map, convert
from mappings.language.active import ActiveMaps
from mappings.language.compile import Map
from mappings.language.document import read_document
from mappings.rows import read_rows, read_sheets
from mappings.xlsx import read_workbook
from terminology.issues import FhirError, MalformedMessage, TooLarge, UnmappableMessage

MAPS = ActiveMaps()
HEAD = ["城乡居民健康档案编号", "姓名", "随访日期", "收缩压", "舒张压"]
ROW = ["37010200100100012", "张三丰", "20260315", "152", "95"]


def workbook(*sheets: tuple[str, list[list[object]]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


class TestWorkbook:
    def test_every_sheet_with_rows(self) -> None:
        raw = workbook(
            ("高血压", [HEAD, ROW]), ("说明", [["只有一格"]]), ("第二页", [HEAD, ROW, ROW]), ("空", [])
        )
        assert [(sheet.name, len(sheet.rows)) for sheet in read_workbook(raw)] == [
            ("高血压", 1),
            ("第二页", 2),
        ]

    def test_a_title_stands_above_the_heading(self) -> None:
        (sheet,) = read_workbook(workbook(("a", [["某镇卫生院随访登记"], [], HEAD, ROW])))
        assert sheet.columns == tuple(HEAD)
        assert sheet.lines == [4]

    def test_dates_and_numbers_are_as_written(self) -> None:
        book = Workbook()
        sheet = book.active
        sheet.append(["文本", "日期", "时刻", "时间", "整数", "小数", "和", "两位", "是否"])
        sheet.append(
            [
                "0012",
                date(2026, 3, 15),
                datetime(2026, 3, 15, 8, 30, 12),
                time(8, 30),
                130,
                65.5,
                0.1 + 0.2,
                1.5,
                True,
            ]
        )
        sheet["H2"].number_format = "0.00"
        file = io.BytesIO()
        book.save(file)
        (found,) = read_workbook(file.getvalue())
        assert found.rows == [
            {"文本": "0012", "日期": "2026-03-15", "时刻": "2026-03-15 08:30:12", "时间": "08:30:00", "整数": "130", "小数": "65.5",
             "和": "0.3", "两位": "1.50", "是否": "true"}
        ]  # fmt: skip

    def test_an_identity_number_typed_as_a_number_is_told(self) -> None:
        (found,) = read_workbook(workbook(("a", [["sfzh", "xm"], [110105194912310020, "张三"]])))
        assert [issue.code for issue in found.issues] == ["HT-TAB-03"]

    def test_it_is_mapped_like_any_sheet(self) -> None:
        results = list(convert(workbook(("一", [HEAD, ROW]), ("二", [HEAD, ROW])), MAPS))
        assert [result.mapping for result in results] == ["followup"] * 2

    @pytest.mark.parametrize("raw", [b"PK\x03\x04", b"PK\x03\x04" + b"x" * 500])
    def test_a_broken_file(self, raw: bytes) -> None:
        with pytest.raises(MalformedMessage) as caught:
            read_workbook(raw)
        assert caught.value.issues[0].code == "HT-TAB-01"

    def test_a_zip_bomb_is_refused_unread(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", b"<x/>")
            archive.writestr("xl/sharedStrings.xml", b" " * 300_000_000)
        with pytest.raises(TooLarge):
            read_workbook(file.getvalue())

    def test_entities_are_not_expanded(self) -> None:
        raw = workbook(("a", [["x", "y"], ["1", "2"]]))
        file = io.BytesIO()
        bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
        with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(file, "w") as target:
            for info in source.infolist():
                body = source.read(info)
                if info.filename == "xl/sharedStrings.xml":
                    body = bomb + body.partition(b"?>")[2].replace(b"<t>x</t>", b"<t>x&f;</t>")
                target.writestr(info, body)
        try:
            columns = [sheet.columns for sheet in read_workbook(file.getvalue())]
        except MalformedMessage:
            return
        assert "root:" not in str(columns)

    def test_mutations_end_in_rows_or_in_a_reason(self) -> None:
        raw = workbook(("a", [HEAD, *[ROW] * 5]))
        chance = random.Random(7)
        for _ in range(300):
            mutated = bytearray(raw)
            for _ in range(chance.randint(1, 6)):
                mutated[chance.randrange(len(mutated))] = chance.randrange(256)
            try:
                read_workbook(bytes(mutated))
            except FhirError:
                continue


class TestCsv:
    def test_gbk_is_recognised_and_told(self) -> None:
        raw = "\n".join([",".join(HEAD), ",".join(ROW)]).encode("gbk")
        sheet = read_rows(raw)
        assert (sheet.codec, sheet.is_guessed, sheet.rows[0]["姓名"]) == ("gb18030", True, "张三丰")
        (result,) = convert(raw, MAPS)
        assert "HT-TAB-16" in [issue.code for issue in result.issues]

    def test_a_row_with_a_cell_too_many_is_told_alone(self) -> None:
        sheet = read_rows(b"a,b,c\n1,2,3\n1,2,3,4\n5,6,7\n")
        assert list(sheet.problems) == [1]
        assert sheet.problems[1].values == {"line": 3, "count": 4, "columns": 3}
        assert sheet.rows[1] == {"a": "1", "b": "2", "c": "3", "#4": "4"}
        assert sheet.part(1, 3).problems.keys() == {0}

    @pytest.mark.parametrize(
        "raw",
        [
            "\n".join([",".join(HEAD), ",".join(ROW)] * 3).encode("gbk"),
            json.dumps(
                {"code": 0, "msg": "ok", "data": {"list": [dict(zip(HEAD, ROW, strict=True))]}}
            ).encode(),
        ],
    )
    def test_mutations_end_in_rows_or_in_a_reason(self, raw: bytes) -> None:
        chance = random.Random(11)
        for _ in range(500):
            mutated = bytearray(raw)
            for _ in range(chance.randint(1, 8)):
                at = chance.randrange(len(mutated))
                match chance.randrange(4):
                    case 0:
                        mutated[at] = chance.randrange(256)
                    case 1:
                        mutated[at:at] = chance.choice(
                            (b'"', b"\n", b",", b"\x00", b"[", b"{", b"\\", b"\xff\xfe")
                        )
                    case 2:
                        del mutated[at : at + chance.randint(1, 20)]
                    case _:
                        mutated[at:at] = mutated[: chance.randint(1, 60)]
                if not mutated:
                    mutated = bytearray(b"x")
            for adapter in ("table", ""):
                try:
                    list(convert(bytes(mutated), MAPS, adapter=adapter))
                except FhirError as error:
                    told = [issue.text("zh") for issue in error.issues]
                    if not all(told):
                        raise


class TestEnvelope:
    @pytest.mark.parametrize(
        "body",
        [
            '{"code":0,"msg":"ok","data":[{"xm":"张三"},{"xm":"李四"}]}',
            '{"code":"200","message":"成功","data":{"total":2,"records":[{"xm":"张三"},{"xm":"李四"}]}}',
            '{"success":true,"rows":[{"xm":"张三"},{"xm":"李四"}]}',
        ],
    )
    def test_the_rows_are_those_inside(self, body: str) -> None:
        (sheet,) = read_sheets(body.encode())
        assert [row["xm"] for row in sheet.rows] == ["张三", "李四"]

    def test_a_row_that_has_a_code_is_a_row(self) -> None:
        (sheet,) = read_sheets(b'{"code":"A1","name":"x","price":3}')
        assert sheet.columns == ("code", "name", "price")


class TestBounds:
    def test_too_many_rows_are_not_read_to_their_end(self) -> None:
        raw = workbook(("a", [HEAD, *[ROW] * 50]))
        with pytest.raises(TooLarge) as caught:
            read_sheets(raw, most=40)
        assert (caught.value.issues[0].code, caught.value.issues[0].values) == ("HT-TAB-02", {"limit": 40})
        with pytest.raises(TooLarge):
            read_sheets(b"a,b\n" + b"1,2\n" * 41, most=40)
        assert len(read_sheets(b"a,b\n" + b"1,2\n" * 40, most=40)[0].rows) == 40


class TestNames:
    def test_capitals_of_a_view_find_the_map_in_small_letters(self) -> None:
        columns = ("JKDABH", "XM", "SFRQ", "SSY", "SZY")
        map, is_folded = choose_map(MAPS, "table", columns)
        assert (map.name, is_folded) == ("followup", True)
        (result,) = convert(
            b'[{"JKDABH":"37010200100100012","XM":"\xe5\xbc\xa0","SFRQ":"20260315","SSY":130,"SZY":80}]',
            MAPS,
            adapter="table",
        )
        assert (
            next(entry.resource for entry in result.entries if entry.type == "Patient")["name"][0]["text"]
            == "张"
        )

    def test_unknown_columns_are_told_as_they_came(self) -> None:
        with pytest.raises(UnmappableMessage) as caught:
            choose_map(MAPS, "table", ("FOO", "BAR", "BAZ"))
        assert "FOO" in caught.value.issues[0].text("en")


class TestShortFunctions:
    """Keys that no row has are left out of the generated code; the outcome is always that of the whole."""

    MAP = b"""
mapping: t
source: {format: table}
resources:
  - id: p
    type: Patient
    key: a or b
    set:
      name: [{text: c or d}]
      identifier: [{value: a}, {value: b}]
      address: [{$each: "items", city: a, line: [e]}]
"""

    def test_the_same_outcome(self) -> None:
        chance = random.Random(3)
        short, whole = (Map(read_document(self.MAP, file="t.yaml")) for _ in range(2))
        rows = []
        for number in range(500):
            # After a while a column comes that was never there before.
            names = "abcde"[: 3 if number < 300 else 5]
            row: dict[str, object] = {
                name: f"{name}{chance.randrange(9)}" for name in names if chance.random() < 0.8
            }
            if chance.random() < 0.3:
                row["items"] = [{"a": "x", "e": "y"}, {"e": "z"}]
            rows.append(row)
        for row in rows:
            one = short.convert(row, MAPS.sender, MAPS.translator)
            whole._binders.clear()
            other = whole.convert(row, MAPS.sender, MAPS.translator)
            assert one.bundle() == other.bundle()
