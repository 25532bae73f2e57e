"""What the system said in its own words, said in ours. The one wall of this room.

no room left, over quota          ResourceExhausted
not permitted, read-only          PermissionDenied
too many open files, no memory    Unavailable
a file where a folder should be   FailedPrecondition
a folder that is not there        FailedPrecondition
a file that ends too early        DataLoss
anything else                     DiskFailed, which is a DataLoss
"""

import errno
from collections.abc import Callable
from types import TracebackType

from lading.errors import (
    DataLoss,
    DiskFailed,
    Error,
    FailedPrecondition,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES: "permission denied", errno.EPERM: "not permitted",
              errno.EROFS: "the file system is read-only"}  # fmt: skip
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
_GONE = {errno.ENOENT, errno.ESTALE}


def translated(
    error: OSError, what: object, *, offset: int = 0, needed: int | None = None
) -> Error:
    """Say which of our errors `error` is, for the ref or digest `what`."""
    if error.errno in _FULL:
        return ResourceExhausted(str(what), offset, needed)
    if error.errno in _FORBIDDEN:
        return PermissionDenied(error.filename or what, _FORBIDDEN[error.errno])
    if error.errno in _SHORT:
        return Unavailable(f"{what}: {error.strerror}; try again when the system is less busy")
    if error.errno in _IN_THE_WAY:
        return FailedPrecondition(
            f"{error.filename or what}: {error.strerror}; move it out of the way"
        )
    if error.errno in _GONE:
        return FailedPrecondition(
            f"{error.filename or what}: {error.strerror}; the root cannot be there, or was removed"
        )
    return DiskFailed(what, error)


class in_our_words:  # noqa: N801 - it is read as a verb; a generator would take four times as long
    """Translate what the system raises in the block.

    Where something is missing, `missing` is called first, which may know why and raise that.
    """

    __slots__ = ("_missing", "_offset", "_what")

    def __init__(
        self,
        what: object,
        offset: Callable[[], int] = lambda: 0,
        *,
        missing: Callable[[], object] = lambda: None,
    ) -> None:
        self._what, self._offset, self._missing = what, offset, missing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        if isinstance(error, FileNotFoundError):
            try:
                self._missing()
            except OSError as another:
                error = another
        if isinstance(error, OSError):
            raise translated(error, self._what, offset=self._offset()) from error
        if isinstance(error, EOFError):
            raise DataLoss(self._what, f"somebody cut its file short: {error}") from error
