"""Lists for spreadsheets: read by Excel as UTF-8, and no name from a message runs at its reader's."""

import csv
from io import StringIO

import pytest

from gateway.csv_sheet import csv_sheet


def test_a_list_is_read_as_it_was_written() -> None:
    sheet = csv_sheet(("姓名", "天数"), [("张三, 丰", -3), ('李"四', 12)])
    assert sheet.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(StringIO(sheet.decode("utf-8-sig"))))
    assert read == [["姓名", "天数"], ["张三, 丰", "-3"], ['李"四', "12"]]


@pytest.mark.parametrize("name", ["=1+1", "+86", "-x", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_that_begins_like_a_formula_is_text(name: str) -> None:
    (_, (cell,)) = csv.reader(StringIO(csv_sheet(("name",), [(name,)]).decode("utf-8-sig"), newline=""))
    assert cell == f"'{name}"
