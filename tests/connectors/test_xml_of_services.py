"""XML as services send it: charsets and mixed content; and what XML cannot hold is not written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications.http.errors import ReplyUnreadable
from applications.http.response import Response
from applications.http.xml import parse_xml, write_xml, xml_data

TEXT = "Žižkov"
JAPANESE = "日本"


def reply(content: bytes, content_type: str) -> Response:
    return Response("GET", "http://shop.invalid/", 200, {"content-type": content_type}, content)


@pytest.mark.parametrize(
    ("declared", "named", "charset", "text"),
    [
        ("", "", "utf-8", TEXT),
        ("utf-8", "", "utf-8", TEXT),
        ("iso-8859-2", "", "iso-8859-2", TEXT),
        ("windows-1250", "", "windows-1250", TEXT),
        ("utf-8", "iso-8859-2", "iso-8859-2", TEXT),
        ("", "windows-1250", "windows-1250", TEXT),
        ("windows-1250", "utf-8", "utf-8", TEXT),
        ("shift_jis", "", "shift_jis", JAPANESE),
        ("gb18030", "", "gb18030", JAPANESE),
        ("utf-8", "euc-jp", "euc-jp", JAPANESE),
        ("utf-16", "", "utf-16", JAPANESE),
        ("utf-8", "utf-16", "utf-16", JAPANESE),
        ("utf-8", "iso-8859-1", "utf-8-sig", TEXT),
    ],
)
def test_the_charset_of_the_content_type_wins_and_all_charsets_are_read(
    declared: str, named: str, charset: str, text: str
) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    content = f"{head}<a>{text}</a>".encode(charset)
    kind = f'text/xml; charset="{named}"' if named else "application/xml"
    assert reply(content, kind).data() == text


@pytest.mark.parametrize(("declared", "named"), [("klingon", ""), ("utf-8", "klingon"), ("bz2", ""), ("utf-8", "idna")])
def test_a_charset_that_is_none_is_refused(declared: str, named: str) -> None:
    content = f'<?xml version="1.0" encoding="{declared}"?><a/>'.encode()
    with pytest.raises(ReplyUnreadable, match="charset"):
        reply(content, f"text/xml; charset={named}" if named else "text/xml").data()


def test_bytes_that_the_charset_does_not_know_are_refused() -> None:
    with pytest.raises(ReplyUnreadable, match="byte 3 is not utf-8"):
        reply(b"<a>\xff</a>", "text/xml; charset=utf-8").data()


@pytest.mark.parametrize(
    ("document", "data"),
    [
        ("<a>one<b>1</b> two <c/>three</a>", {"b": "1", "c": None, "#text": "one two three"}),
        ("<a><b>1</b>tail</a>", {"b": "1", "#text": "tail"}),
        ("<a>\n  <b>1</b>\n</a>", {"b": "1"}),
        ('<a x="1">t</a>', {"@x": "1", "#text": "t"}),
        ("<a><p>x<i>y</i>z</p></a>", {"p": {"i": "y", "#text": "x z"}}),
    ],
)
def test_text_behind_a_child_is_not_lost(document: str, data: Any) -> None:
    assert xml_data(parse_xml(document)) == data


@pytest.mark.parametrize("name", ["", " ", "a b", "1a", "-a", "<a", "a>b", "a\n", "a:b:c", ":a", "a&", "\x00"])
def test_a_name_that_xml_does_not_have_is_refused(name: str) -> None:
    for data in ({name: 1}, {f"@{name}": 1}):
        with pytest.raises(ValueError, match="cannot be the name"):
            write_xml("root", data)
    with pytest.raises(ValueError, match="cannot be the name"):
        write_xml(name, 1)


@given(st.text(st.characters(codec=None)))
def test_a_text_is_written_whole_or_refused(text: str) -> None:
    try:
        document = write_xml("a", {"b": text, "@c": text})
    except ValueError as error:
        assert "which XML cannot hold" in str(error)  # noqa: PT017 - both are right, by the text
        assert any(ord(one) < 32 or 0xD800 <= ord(one) < 0xE000 or ord(one) in {0xFFFE, 0xFFFF} for one in text)
        return
    read = parse_xml(document)
    assert (read.findtext("b") or "").replace("\r", "\n") == text.replace("\r\n", "\n").replace("\r", "\n")


def test_an_address_of_a_reply_is_joined_to_where_it_really_came_from() -> None:
    shown = Response("GET", "http://h/bot[hidden]/list", 200, {}, b"", address="http://h/botS3CRET/list?page=1")
    assert shown.resolve("next?page=2") == "http://h/botS3CRET/next?page=2"
    assert shown.resolve("?page=2") == "http://h/botS3CRET/list?page=2"
    assert shown.resolve("http://other/x") == "http://other/x"
    assert "S3CRET" not in str(shown)
    assert Response.of(shown, b"").resolve("a") == "http://h/botS3CRET/a"
