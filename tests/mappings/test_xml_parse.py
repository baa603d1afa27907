"""XML bytes → tree: charsets, bounds, and what is refused (mappings/xml)."""

import pytest

from mappings.xml.parse import MAX_DEPTH, MAX_ELEMENTS, parse
from terminology.issues import FhirError, MalformedMessage, TooLarge

NAME = "欧阳丽娜镕"
BODY = f'<a xmlns="urn:hl7-org:v3"><b c="1">{NAME}</b></a>'


def document(encoding: str | None, codec: str) -> bytes:
    head = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else ""
    return (head + BODY).encode(codec)


class TestCharset:
    @pytest.mark.parametrize("declared", ["GBK", "gb2312", "GB18030", "gbk"])
    def test_every_name_of_the_gb_family_is_read_as_gb18030(self, declared: str) -> None:
        # 镕 is not in GB 2312: senders declare it all the same.
        message = parse(document(declared, "gbk"))
        assert message.root.down("b").content() == NAME  # type: ignore[union-attr]
        assert (message.decoded.codec, message.decoded.declared) == ("gb18030", declared)
        assert not message.decoded.is_guessed

    @pytest.mark.parametrize("declared", ["UTF-8", None])
    def test_gbk_that_is_declared_as_utf8_or_not_at_all(self, declared: str | None) -> None:
        message = parse(document(declared, "gb18030"))
        assert message.root.down("b").content() == NAME  # type: ignore[union-attr]
        assert message.decoded.is_guessed
        assert [issue.code for issue in message.issues] == ["HT-XML-07", "HT-XML-08"]

    def test_utf8_that_is_declared_as_gbk(self) -> None:
        message = parse(document("GBK", "utf-8"))
        assert message.root.down("b").content() == NAME  # type: ignore[union-attr]
        assert message.decoded.codec == "utf-8"

    @pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
    def test_a_byte_order_mark_decides(self, codec: str) -> None:
        assert parse(document(None, codec)).root.down("b").content() == NAME  # type: ignore[union-attr]

    def test_bytes_of_no_charset(self) -> None:
        with pytest.raises(MalformedMessage) as refused:
            parse(b"<a>\xff\xff\xff\xfe\x80</a>")
        assert refused.value.issues[0].code == "HT-XML-01"


class TestTree:
    def test_names_are_local_and_xsi_type_keeps_its_prefix(self) -> None:
        text = (
            '<h:a xmlns:h="urn:x" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
            'i:type="CD" h:type="2" xml:lang="zh"/>'
        )
        root = parse(text.encode()).root
        assert root.name == "a"
        assert root.attributes == {"xsi:type": "CD", "type": "2", "xml:lang": "zh"}
        assert parse(text.encode()).namespace == "urn:x"

    def test_an_undeclared_prefix_is_let_through(self) -> None:
        assert parse(b'<a><rhin:b xsi:type="CD"/></a>').root.down("b").get("xsi:type") == "CD"  # type: ignore[union-attr]

    def test_mixed_content_keeps_its_order(self) -> None:
        assert parse(b"<a>1<b>2</b>3<c>4</c>5</a>").root.content() == "12345"

    def test_control_characters_are_removed_and_told(self) -> None:
        message = parse(b"<a>x\x0by&#x0b;z</a>")
        assert message.root.content() == "xyz"
        assert [issue.code for issue in message.issues] == ["HT-XML-09"]

    def test_a_place_numbers_repetitions(self) -> None:
        root = parse(b"<a><b/><b><c/></b></a>").root
        assert root.kids["b"][1].kids["c"][0].place == "b[2]/c"


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


class TestRefused:
    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "HT-XML-03"),
            (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>', "HT-XML-03"),
            (f'<!DOCTYPE a [<!ENTITY l0 "lol">{BOMB}]><a>&l9;</a>'.encode(), "HT-XML-03"),
            (b"<a>&undeclared;</a>", "HT-XML-02"),
            (b"<a><b></a>", "HT-XML-02"),
            (b"<a", "HT-XML-02"),
            (b"", "HT-XML-02"),
            (b"<a/><b/>", "HT-XML-02"),
            (b"<a>" * (MAX_DEPTH + 1), "HT-XML-05"),
            (b"<a>" + b"<b/>" * MAX_ELEMENTS, "HT-XML-05"),
        ],
    )
    def test_with_a_code(self, raw: bytes, code: str) -> None:
        with pytest.raises((MalformedMessage, TooLarge)) as refused:
            parse(raw)
        assert refused.value.issues[0].code == code

    def test_the_place_is_told(self) -> None:
        with pytest.raises(FhirError) as refused:
            parse(b"<a>\n  <b>\n</a>")
        assert refused.value.issues[0].source == "line 3 column 3"
