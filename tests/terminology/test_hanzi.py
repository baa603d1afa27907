"""Names as people type them (terminology/hanzi.py)."""

import pytest

from terminology.hanzi import fold, initials, is_han, pinyin, split_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("张小明", "張小明"),
        ("张小明", "张 小 明"),
        ("张小明", "张　小明"),
        ("Ｗａｎｇ　Ｘｉａｏ", "wang xiao"),
        ("MÜLLER", "muller"),
        ("阿不都·热合曼", "阿不都•热合曼"),
        ("阿不都·热合曼", "阿不都 ・ 热合曼"),
        ("１１０１０５Ｘ", "110105x"),
        ("  a  b ", "a b"),
        ("ﬁ", "fi"),
    ],
)
def test_same_to_a_reader(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("张", "章"), ("a b", "ab"), ("王小明", "王明小")])
def test_different_to_a_reader(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    "text", ["張 小明", "Müller-Lüdenscheidt", "欧阳娜娜", "한국", "１２３", "İstanbul", "ﷺ", ""]
)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("name", "family", "given"),
    [
        ("张小明", "张", "小明"),
        ("欧阳娜娜", "欧阳", "娜娜"),
        ("司马懿", "司马", "懿"),
        ("张 小明", "张", "小明"),
        ("王", "王", ""),
        ("Wang Xiaoming", "Wang", "Xiaoming"),
        ("阿不都·热合曼", "", "阿不都·热合曼"),
    ],
)
def test_family_and_given(name: str, family: str, given: str) -> None:
    assert split_name(name) == (family, given)


@pytest.mark.parametrize(
    ("name", "reading", "letters"),
    [
        ("张小明", "zhangxiaoming", "zxm"),
        ("单雄信", "shanxiongxin", "sxx"),
        ("单雄信", "danxiongxin", "dxx"),
        ("曾国藩", "zengguofan", "zgf"),
        ("尉迟恭", "yuchigong", "ycg"),
        ("吕布", "lvbu", "lb"),
        ("仇英", "qiuying", "qy"),
    ],
)
def test_readings(name: str, reading: str, letters: str) -> None:
    assert reading in pinyin(name)
    assert letters in initials(name)


def test_readings_are_bounded() -> None:
    assert len(pinyin("重行长乐" * 8)) <= 16


def test_han() -> None:
    assert all(map(is_han, "张〇龘𠮷"))
    assert not any(map(is_han, "a1·の"))
