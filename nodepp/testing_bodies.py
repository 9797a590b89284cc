"""Bodies of requests for the test client: JSON, forms, multipart."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from .library import library
from .statics.media import media_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Union

    Pairs = Union[Mapping[str, Any], Iterable[tuple[str, Any]]]
    File = Any  # bytes, str, a file object, or a tuple (name, content[, content type])


def encode_body(json: Any, data: Any, files: Any) -> tuple[bytes | None, str | None]:
    """(body, content type) of what was given to Client.request; None where there is nothing to
    send.
    """
    if json is not None:
        if data is not None or files is not None:
            raise TypeError("json stands alone: it cannot be sent together with data or files")
        return library("json").dumps(json).encode(), "application/json"
    if files is not None:
        if isinstance(data, (bytes, str)):
            raise TypeError("data beside files is a form: a mapping or pairs")
        return encode_multipart(pairs_of(data), files)
    if data is None:
        return None, None
    if isinstance(data, bytes):
        return data, None
    if isinstance(data, str):
        return data.encode(), None
    return urlencode(pairs_of(data)).encode(), "application/x-www-form-urlencoded"


def encode_multipart(fields: list[tuple[str, str]], files: Any) -> tuple[bytes, str]:
    """A multipart/form-data body (RFC 7578) and its content type."""
    boundary = os.urandom(16).hex()
    pieces = []
    for name, value in fields:
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        pieces.append((head, value.encode()))
    for name, given in files.items() if hasattr(files, "items") else files:
        file_name, content, content_type = _file(name, given)
        head = (
            f'Content-Disposition: form-data; name="{_quoted(name)}";'
            f' filename="{_quoted(file_name)}"\r\nContent-Type: {content_type}'
        )
        pieces.append((head, content))
    body = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in pieces
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _file(name: str, given: File) -> tuple[str, bytes, str]:
    """(file name, content, content type) of one file as it may be given."""
    content_type = None
    file_name = None
    if isinstance(given, tuple):
        file_name, given, *rest = given
        content_type = rest[0] if rest else None
    if hasattr(given, "read"):
        file_name = file_name or os.path.basename(getattr(given, "name", name))
        given = given.read()
    content = given.encode() if isinstance(given, str) else bytes(given)
    file_name = name if file_name is None else file_name
    return file_name, content, content_type or media_type(file_name)


def _quoted(text: str) -> str:
    """A name inside the quotes of Content-Disposition, as browsers write it (HTML standard,
    multipart/form-data).
    """
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def pairs_of(source: Pairs | None) -> list[tuple[str, str]]:
    """(name, value) pairs of str; a list or tuple as a mapping's value repeats the name."""
    if source is None:
        return []
    found: list[tuple[str, str]] = []
    for name, value in source.items() if hasattr(source, "items") else source:
        values = value if isinstance(value, (list, tuple)) else (value,)
        found.extend((str(name), str(single)) for single in values)
    return found
