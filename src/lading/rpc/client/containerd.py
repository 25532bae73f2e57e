"""What containerd says in sentences and lading in facts.

containerd's errors have a code and a sentence. Where callers decide by the facts, they are read out
of it, so that one program works with both. Its sentences are those of 1.6 and 2.x.
"""

import re

from lading.content.store import Blob
from lading.errors import (
    AlreadyExists,
    DigestMismatch,
    Error,
    FailedPrecondition,
    InvalidDigest,
    NotFound,
    RefLocked,
    SizeMismatch,
    Unavailable,
)
from lading.model.digest import Digest

_LOCKED = re.compile(r"\bref .* (?:is )?locked\b", re.DOTALL)
_SIZE = re.compile(r"unexpected commit size (\d+), expected (\d+)")
_DIGEST = re.compile(
    r"unexpected commit digest ([a-z0-9]+:[0-9a-f]+), expected ([a-z0-9]+:[0-9a-f]+)"
)
_ANY_DIGEST = re.compile(r"\b(sha(?:256|384|512):[0-9a-f]{64,128})\b")


def about_ref(error: Error, ref: str) -> Error:
    """The error of a Write, with its facts."""
    if type(error) is Unavailable and _LOCKED.search(str(error)):
        return RefLocked(ref)
    if type(error) is FailedPrecondition:
        if size := _SIZE.search(str(error)):
            return SizeMismatch(int(size[2]), int(size[1]))
        if digest := _DIGEST.search(str(error)):
            try:
                return DigestMismatch(Digest(digest[2]), Digest(digest[1]))
            except InvalidDigest:
                return error
    return error


def about_blob(error: Error, digest: Digest | None) -> Error:
    """The error of a call about a blob, or of a commit that finds one."""
    if isinstance(error, AlreadyExists) and not isinstance(error.what, Digest):
        named = digest or _named(str(error))
        return AlreadyExists(named) if named else error
    if isinstance(error, NotFound) and digest is not None and error.kind is None:
        return NotFound(digest)
    return error


def dated(blob: Blob) -> Blob:
    """A listed blob, of which containerd does not say when its labels last changed."""
    return blob if blob.updated_ns > 0 else blob._replace(updated_ns=blob.created_ns)


def _named(sentence: str) -> Digest | None:
    found = _ANY_DIGEST.search(sentence)
    try:
        return Digest(found[1]) if found else None
    except InvalidDigest:
        return None
