"""XML: read without its dangers, as elements or plain values, and written.

Plain values: an element becomes its text, or a mapping of its children by name (a list where a name occurs more than
once), attributes as `@name`, its own text beside them as `#text`: before, between and behind the children. Namespaces
are dropped.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, SubElement, TreeBuilder, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser
from pydantic import BaseModel

from applications.http.errors import ReplyUnreadable
from applications.http.formats import decode
from applications.http.paths import values_of
from applications.http.values import text_of

DEEPEST: Final = 100
"""How deep elements may lie in each other: half of what JSON may, as lists lie between them."""

_LONGEST_NAME: Final = 2048
"""Of an element with its namespace. The parser copies the namespace for each element that has it."""


_MARKS: Final = {BOM_UTF8: "utf-8-sig", BOM_UTF16_LE: "utf-16", BOM_UTF16_BE: "utf-16"}
_DECLARED: Final = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.:-]*)["']""")
_READ_BY_THE_PARSER: Final = frozenset({"utf-8", "utf-16", "iso-8859-1", "us-ascii"})
_NAME: Final = re.compile(r"[^\W\d][\w.-]*(:[^\W\d][\w.-]*)?")
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""https://www.w3.org/TR/xml/#charsets."""


class _Tree(TreeBuilder):
    """Builds elements that lie in each other as deep as everything can that reads them."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"elements lie deeper than {DEEPEST} in each other")
        if max(map(len, attrs), default=0) > _LONGEST_NAME or len(tag) > _LONGEST_NAME:
            raise ValueError(f"a name with its namespace is longer than {_LONGEST_NAME} characters")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse_xml(content: bytes | str, charset: str = "") -> Element:
    """Return the root. Raises `ReplyUnreadable` with the place, also for entities and documents of other places.

    A `charset` that is named wins over the document's own declaration (RFC 7303, 3.2), and a byte order mark over both.
    """
    parser = DefusedXMLParser(target=_Tree())
    try:
        parser.feed(content if isinstance(content, str) else _text_of(content, charset))
        root: Element = parser.close()
    except ParseError as error:
        raise ReplyUnreadable(f"not XML: {error}") from None
    except (DefusedXmlException, LookupError, ValueError) as error:
        if isinstance(error, ReplyUnreadable):
            raise
        raise ReplyUnreadable(f"XML refused: {type(error).__name__}: {error}") from None
    return root


def _text_of(content: bytes, charset: str) -> bytes | str:
    """Return what the parser reads: it knows few charsets by itself, and a text whatever its declaration says."""
    for mark, marked in _MARKS.items():
        if content.startswith(mark):
            return decode(content, marked)
    declared = _DECLARED.match(content)
    named = charset or (declared[1].decode("latin-1") if declared else "")
    if not named or (named.lower() in _READ_BY_THE_PARSER and not charset):
        return content
    return decode(content, named)


def xml_data(element: Element) -> Any:
    """Return the element as plain values."""
    children: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
    repeated: set[str] = set()
    for child in element:
        name, value = _local(child.tag), xml_data(child)
        if name not in children:
            children[name] = value
        elif name in repeated:
            children[name].append(value)
        else:
            children[name] = [children[name], value]
            repeated.add(name)
    text = " ".join(filter(None, (part.strip() for part in _own_texts(element))))
    if not children:
        return text or None
    return {**children, "#text": text} if text else children


def _own_texts(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        yield child.tail or ""


def write_xml(root: str, data: Any) -> bytes:
    """Return plain values as a document whose root has this name; the opposite of `xml_data`.

    Raises `ValueError`, naming the element, for names and characters that XML does not have, and for values that have
    no form as text.
    """
    element = Element(_name(root))
    _fill(element, data)
    document: bytes = tostring(element, encoding="utf-8", xml_declaration=True)
    return document


def _fill(element: Element, data: Any) -> None:
    if isinstance(data, BaseModel) or is_dataclass(data):
        data = values_of(data)
    if not isinstance(data, Mapping):
        element.text = _text(data, element.tag)
        return
    for name, value in data.items():
        if name == "#text":
            element.text = _text(value, element.tag)
        elif name.startswith("@"):
            element.set(_name(name[1:]), _text(value, name))
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                _fill(SubElement(element, _name(name)), item)


def _text(value: Any, name: str) -> str:
    text = "" if value is None else text_of(value, f"XML {name!r}")
    if unfit := _NOT_XML.search(text):
        raise ValueError(f"XML {name!r}: character {unfit.start() + 1} is U+{ord(unfit[0]):04X}, which XML cannot hold")
    return text


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"XML: {name!r} cannot be the name of an element or attribute")
    return name


def _local(name: str) -> str:
    return name.rpartition("}")[2]
