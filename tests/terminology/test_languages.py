"""terminology/languages.py and terminology/designations.py"""

import pytest

from terminology.designations import DISPLAY_USE, Designation, Designations
from terminology.languages import InvalidLanguage, known, parse_header, parse_tag


@pytest.mark.parametrize("tag", ["zh", "zh-Hans-CN", "en-US", "de-CH-1996", "sl-nedis", "en-x-county", "*"])
def test_a_tag_is_read(tag):
    assert parse_tag(tag).tag == tag


@pytest.mark.parametrize("tag", ["", "cn", "english-", "e", "zh_CN", "12", "en--US", "-"])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(InvalidLanguage):
        parse_tag(tag)


def test_a_header_is_sorted_by_weight():
    languages = parse_header("en;q=0.5, zh-CN, *;q=0.1", with_rest=False)
    assert [entry.tag for entry in languages] == ["zh-CN", "en", "*"]
    assert languages.as_parameter() == "zh-CN, en; q=0.5, *; q=0.1"


def test_other_languages_come_last_unless_they_are_excluded():
    assert [entry.tag for entry in parse_header("zh", with_rest=True)] == ["zh", "*"]
    assert [entry.weight for entry in parse_header("zh,*;q=0", with_rest=True)] == [1.0, 0.0]


@pytest.fixture
def texts():
    return Designations(
        [
            Designation("Diabetes", known("en"), DISPLAY_USE),
            Designation("糖尿病", known("zh")),
            Designation("糖尿病(台)", known("zh-TW")),
            Designation("Zucker", known("de"), status="withdrawn"),
        ]
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("zh", "糖尿病"),
        ("zh-TW", "糖尿病(台)"),
        ("zh-HK", "糖尿病"),
        ("fr", "Diabetes"),  # any other language is better than nothing
        ("de", "Zucker"),  # even a withdrawn text, when the language has no other
        ("fr;q=0.5,zh;q=0.8", "糖尿病"),
    ],
)
def test_the_preferred_text(texts, header, expected):
    found = texts.preferred(parse_header(header, with_rest=True))
    assert found is not None
    assert found.value == expected


def test_without_languages_the_display_is_preferred(texts):
    assert texts.preferred(None).value == "Diabetes"


def test_a_language_that_excludes_others_finds_nothing(texts):
    assert texts.preferred(parse_header("fr,*;q=0", with_rest=True)) is None


def test_differences(texts):
    zh = parse_header("zh", with_rest=False)
    assert texts.difference("糖尿病", zh) == "none"
    assert texts.difference("diabetes", None) == "none"
    assert texts.difference(" Diabetes", None) == "whitespace"
    assert texts.difference("Diabetes", zh) == "other"
    assert texts.difference("zucker", None, is_active=True) == "other"


def test_texts_are_listed_for_people(texts):
    assert (
        texts.present(parse_header("zh", with_rest=False), displays_only=True)
        == "'糖尿病' (zh) or '糖尿病(台)' (zh-TW)"
    )
