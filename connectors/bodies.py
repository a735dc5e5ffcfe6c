"""The body of a declared request: what of the input goes into it, and how it is written.

Fields that the path or the query takes are left out, and so are fields without a value.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, is_dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from applications.http.paths import given_values
from applications.http.values import text_of
from connectors.service import CallOptions


class Body(Protocol):
    """Makes the body of a request."""

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return the body of this input; `taken` are the fields that stand elsewhere in the request."""


@dataclass(frozen=True, slots=True)
class NoBody:
    """No body."""

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class JsonBody:
    """JSON: all fields, or only what stands in the field `only`; put under the name `wrap`, if given."""

    only: str | None = None
    wrap: str | None = None

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return the values as JSON."""
        values = _values(data, taken)
        if self.only is not None:
            values = values.get(self.only) if isinstance(values, Mapping) else None
        return {"json": values if self.wrap is None else {self.wrap: values}}


@dataclass(frozen=True, slots=True)
class FormBody:
    """A form, as browsers send it. Raises `TypeError` for an input that is not made of fields."""

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return the fields as a form."""
        return {"form": _fields(data, taken)}


@dataclass(frozen=True, slots=True)
class MultipartBody:
    """A multipart form; the fields named in `files` are sent as files: text, or bytes such as `Base64Bytes`.

    Raises `TypeError` for an input that is not made of fields.
    """

    files: tuple[str, ...] = ("file",)
    content_type: str = "application/octet-stream"

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return the fields as a form with files."""
        fields = _fields(data, taken | set(self.files))
        files = {name: (name, _content(data, name), self.content_type) for name in self.files}
        return {"form": fields, "files": files}


@dataclass(frozen=True, slots=True)
class XmlBody:
    """An XML document whose root has this name; see `applications.http.xml` for how values are written."""

    root: str

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return the fields as XML."""
        return {"xml": {self.root: _values(data, taken)}}


@dataclass(frozen=True, slots=True)
class RawBody:
    """What stands in one field, as it is."""

    only: str
    content_type: str = "application/octet-stream"

    def write(self, data: Any, taken: AbstractSet[str]) -> CallOptions:
        """Return the field's text or bytes."""
        return {"content": _content(data, self.only), "headers": {"Content-Type": self.content_type}}


def _values(data: Any, taken: AbstractSet[str]) -> Any:
    """Return the fields as JSON has them; what is not made of fields as it is."""
    if isinstance(data, BaseModel) or is_dataclass(data):
        data = given_values(data)
    if isinstance(data, Mapping):
        return {name: value for name, value in data.items() if name not in taken}
    return data


def _content(data: Any, name: str) -> bytes:
    """Return a field as bytes."""
    value = data.get(name) if isinstance(data, Mapping) else getattr(data, name)
    if value is None:
        return b""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else text_of(value, name).encode()


def _fields(data: Any, taken: AbstractSet[str]) -> dict[str, Any]:
    values = _values(data, taken)
    if not isinstance(values, Mapping):
        raise TypeError(f"a form is made of fields, not of {type(data).__name__}")
    return {name: value for name, value in values.items() if value is not None}
