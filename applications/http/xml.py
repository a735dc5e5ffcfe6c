"""XML: read without its dangers, as elements or plain values, and written.

Plain values: an element becomes its text, or a mapping of its children by name (a list where a name occurs more than
once), attributes as `@name`, its own text beside them as `#text`. Namespaces are dropped.
"""

from collections.abc import Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, SubElement, TreeBuilder, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from applications.http.errors import ReplyUnreadable

DEEPEST: Final = 100
"""How deep elements may lie in each other: half of what JSON may, as lists lie between them."""

_LONGEST_NAME: Final = 2048
"""Of an element with its namespace. The parser copies the namespace for each element that has it."""


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


def parse_xml(content: bytes | str) -> Element:
    """Return the root. Raises `ReplyUnreadable` with the place, also for entities and documents of other places."""
    parser = DefusedXMLParser(target=_Tree())
    try:
        parser.feed(content)
        root: Element = parser.close()
    except ParseError as error:
        raise ReplyUnreadable(f"not XML: {error}") from None
    except (DefusedXmlException, LookupError, ValueError) as error:
        raise ReplyUnreadable(f"XML refused: {type(error).__name__}: {error}") from None
    return root


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
    text = (element.text or "").strip()
    if not children:
        return text or None
    return {**children, "#text": text} if text else children


def write_xml(root: str, data: Any) -> bytes:
    """Return plain values as a document whose root has this name; the opposite of `xml_data`."""
    element = Element(root)
    _fill(element, data)
    document: bytes = tostring(element, encoding="utf-8", xml_declaration=True)
    return document


def _fill(element: Element, data: Any) -> None:
    if not isinstance(data, Mapping):
        element.text = _text(data)
        return
    for name, value in data.items():
        if name == "#text":
            element.text = _text(value)
        elif name.startswith("@"):
            element.set(name[1:], _text(value))
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                _fill(SubElement(element, name), item)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
