"""What names and labels may be: containerd's rules. Each check raises `InvalidArgument`."""

import hashlib
import re
from collections.abc import Mapping

from lading.errors import InvalidArgument

NAME_LIMIT = 76
TEXT_LIMIT = 1024
"""Bytes of a lease's id and of an image's name, which an index has to hold."""
LABEL_LIMIT = 4096
"""Bytes of a label's key and value together, in UTF-8."""
_SHORT_LIMIT = 512
_NAME = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*", re.ASCII)
_STANDS_FOR = "\x01"
_STAND_IN = re.compile(f"{_STANDS_FOR}[0-9a-f]{{64}}")


def check_name(name: str, what: str) -> str:
    """Return a name of a namespace."""
    if len(name) > NAME_LIMIT:
        raise InvalidArgument(f"{what} {name[:NAME_LIMIT]!a}… is longer than {NAME_LIMIT}")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{what} {name!a} is no name: write letters and digits, with single . _ or - between"
        )
    return name


def check_text(text: str, what: str) -> str:
    """Return a lease's id or an image's name."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{what} {text[:80]!a} is not Unicode text") from None
    if not 0 < size <= TEXT_LIMIT:
        raise InvalidArgument(f"{what} has 1 to {TEXT_LIMIT} bytes, not {size}")
    if "\0" in text:
        raise InvalidArgument(f"{what} {text[:80]!a} has a NUL in it")
    return text


def short(ref: str) -> str:
    """A ref as a row has it: itself, or what stands for one that an index or a row cannot hold.

    What is short already stays as it is.
    """
    encoded = ref.encode()
    if ref.startswith(_STANDS_FOR):
        if _STAND_IN.fullmatch(ref):
            return ref
    elif len(encoded) <= _SHORT_LIMIT and "\0" not in ref:
        return ref
    return _STANDS_FOR + hashlib.sha256(encoded).hexdigest()


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse a label that is too long."""
    for key, value in labels.items():
        try:
            size = len(key.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise InvalidArgument(f"label {key[:80]!a} is not Unicode text") from None
        if size > LABEL_LIMIT:
            raise InvalidArgument(
                f"label {key[:80]!r} has {size} bytes with its value; the limit is {LABEL_LIMIT}"
            )
