"""What can go wrong, in containerd's words.

    Error
     ├─ InvalidArgument      a value that could never be right
     │   ├─ InvalidDigest
     │   ├─ InvalidFilter
     │   └─ InvalidReference
     ├─ NotFound             no such blob, ingest, namespace or lease
     ├─ AlreadyExists        the blob is here; nothing was lost
     ├─ PermissionDenied     the root, or a repository, may not be read or written
     ├─ Unauthenticated      who asks is not known there
     ├─ FailedPrecondition   a right request in the wrong state
     │   ├─ DigestMismatch
     │   ├─ SizeMismatch
     │   ├─ IngestMismatch   the ref already holds a different transfer
     │   ├─ WriterClosed
     │   ├─ ForeignRoot      the root is containerd's
     │   ├─ InvalidManifest  somebody's manifest cannot be one
     │   ├─ InvalidArchive   somebody's archive is broken, or means harm
     │   ├─ Refused          a registry said no, for a reason of its own
     │   └─ Untrusted        the other end of a connection cannot prove who it is
     ├─ OutOfRange           an offset that cannot be served
     ├─ Aborted              the ingest was ended by somebody else
     ├─ ResourceExhausted    no room left; what was written is kept
     │   └─ DatabaseFull
     ├─ Unavailable          try again later
     │   ├─ RefLocked        another writer holds this ref
     │   ├─ ConnectionFailed nobody answers, or the answer broke off
     │   └─ TooManyRequests  a registry asks for a pause
     └─ DataLoss             stored bytes are not what they were
         └─ DiskFailed       the disk answered with an error

The names of the second level are gRPC status codes. Each error carries its facts as fields and
builds its sentence from them, so nobody has to parse a message. `retryable` answers "would the
same call, later, have a chance?".
"""

from datetime import datetime
from typing import Any, ClassVar


class Error(Exception):
    """The base of every error this package raises on purpose."""

    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        """What makes the same error in another process, facts and all."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[Error], args: tuple[Any, ...], facts: dict[str, Any]) -> Error:
    error = kind.__new__(kind, *args)  # its own making names some facts, and may know no others
    vars(error).update(facts)
    return error


class InvalidArgument(Error, ValueError):
    """A value that could never be right, whatever the state of the store."""


class InvalidDigest(InvalidArgument):
    """A text that is no digest of an algorithm we know."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 160 else self.text[:160] + "…"  # noqa: PLR2004 - a line or two
        return f"not a digest: {shown!r}; write sha256:<64 hex digits>, or sha384 or sha512"


class InvalidFilter(InvalidArgument):
    """A text that is no filter, and where it stops being one."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__(text, position, problem)
        self.text, self.position, self.problem = text, position, problem

    def __str__(self) -> str:
        if self.position >= len(self.text):
            return f"filters: parse error: [{self.text}]: {self.problem}"
        before, at = self.text[: self.position], self.text[self.position]
        after = self.text[self.position + 1 :]
        return f"filters: parse error: [{before} >|{at}|< {after}]: {self.problem}"


class InvalidReference(InvalidArgument):
    """A text that is no reference, and why not."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(text, problem)
        self.text, self.problem = text, problem

    def __str__(self) -> str:
        return (
            f"not a reference: {self.text[:160]!r}: {self.problem};"
            " write registry/repository:tag or registry/repository@sha256:…"
        )


class NotFound(Error, LookupError):
    """There is no such thing here: no blob `what`, or nothing of another `kind` named so."""

    def __init__(self, what: Any, kind: str | None = None) -> None:
        super().__init__(what, kind)
        self.what, self.kind = what, kind

    def __str__(self) -> str:
        return f"{self.kind} {self.what!r}: not found" if self.kind else f"{self.what}: not found"


class AlreadyExists(Error):
    """The blob is here, and will be after a power cut. Nothing was lost."""

    def __init__(self, what: Any) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what}: already exists"


class PermissionDenied(Error):
    """The system does not let this process read, or write, the root; or a registry does not let
    us do something with a repository, which is `path` then.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Unauthenticated(Error):
    """`host` does not know who asks: there are no credentials for it, or wrong ones."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host, self.reason = host, reason

    def __str__(self) -> str:
        return f"{self.host}: {self.reason}"


class FailedPrecondition(Error):
    """A right request in the wrong state."""


class DigestMismatch(FailedPrecondition):
    """The bytes are not the ones that were promised."""

    def __init__(self, expected: Any, actual: Any) -> None:
        super().__init__(expected, actual)
        self.expected, self.actual = expected, actual

    def __str__(self) -> str:
        return f"unexpected commit digest {self.actual}, expected {self.expected}"


class SizeMismatch(FailedPrecondition):
    """There are more bytes, or fewer, than were promised."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(expected, actual)
        self.expected, self.actual = expected, actual

    def __str__(self) -> str:
        return f"unexpected commit size {self.actual}, expected {self.expected}"


class IngestMismatch(FailedPrecondition):
    """The ref holds the beginning of another transfer, which is kept untouched."""

    def __init__(self, ref: str, field: str, stored: object, given: object) -> None:
        super().__init__(ref, field, stored, given)
        self.ref, self.field, self.stored, self.given = ref, field, stored, given

    def __str__(self) -> str:
        return (
            f"ref {self.ref!r} was begun with {self.field} {self.stored}, not {self.given}; "
            "abort it to start over, or use another ref"
        )


class WriterClosed(FailedPrecondition):
    """The writer was closed, committed or broken; open the ref again."""

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.ref = ref

    def __str__(self) -> str:
        return f"the writer of ref {self.ref!r} is closed; open the ref again"


class ForeignRoot(FailedPrecondition):
    """The root is containerd's, whose collector deletes what containerd did not write."""

    def __init__(self, root: object, *, live: bool) -> None:
        super().__init__(root, live)
        self.root, self.live = root, live

    def __str__(self) -> str:
        state = "a running containerd uses it" if self.live else "it is containerd's"
        return (
            f"{self.root}: not writing here, since {state} and its collector would delete "
            "what lading adds; use a root of your own"
        )


class InvalidManifest(FailedPrecondition):
    """The bytes of a manifest, which came from outside, are none that we would follow."""


class InvalidArchive(FailedPrecondition):
    """An archive, which came from outside, is broken or would do harm; nothing of it is visible."""

    def __init__(self, name: object, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


class Refused(FailedPrecondition):
    """A registry refused what it understood. `code` is its own word for why, where it gave one."""

    def __init__(self, what: str, status: int, code: str = "", message: str = "") -> None:
        super().__init__(what, status, code, message)
        self.what, self.status, self.code, self.message = what, status, code, message

    def __str__(self) -> str:
        told = ": ".join(filter(None, (self.code, self.message)))
        return f"{self.what}: refused with {self.status}" + (f", {told}" if told else "")


class Untrusted(FailedPrecondition):
    """A certificate that nobody we trust has signed, or that is for somebody else."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host, self.reason = host, reason

    def __str__(self) -> str:
        return f"{self.host}: its certificate is not trusted: {self.reason}"


class OutOfRange(Error):
    """An offset that the store cannot serve."""

    def __init__(self, offset: int, limit: int) -> None:
        super().__init__(offset, limit)
        self.offset, self.limit = offset, limit

    def __str__(self) -> str:
        return f"offset {self.offset} is out of range, the limit is {self.limit}"


class Aborted(Error):
    """Somebody ended the ingest while this writer was open. Its bytes are gone."""

    retryable = True

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.ref = ref

    def __str__(self) -> str:
        return f"the ingest of ref {self.ref!r} was aborted while it was being written"


class ResourceExhausted(Error):
    """No room. What was written before is kept: free some room and go on at `offset`."""

    retryable = True

    def __init__(self, ref: str, offset: int, needed: int | None = None) -> None:
        super().__init__(ref, offset, needed)
        self.ref, self.offset, self.needed = ref, offset, needed

    def __str__(self) -> str:
        need = f" for {self.needed} bytes more" if self.needed else ""
        return (
            f"no space left{need}; ref {self.ref!r} is kept at offset {self.offset}, "
            "free some space and resume it"
        )


class DatabaseFull(ResourceExhausted):
    """No room where the metadata is. Nothing of the call happened."""

    def __init__(self, database: str) -> None:
        Error.__init__(self, database)
        self.database = database

    def __str__(self) -> str:
        return f"{self.database}: no space left for metadata; free some space and try again"


class Unavailable(Error):
    """Not now; the same call may succeed later."""

    retryable = True


class RefLocked(Unavailable):
    """Another writer holds this ref: `holder` says which (process and host) and since when."""

    def __init__(
        self, ref: str, *, holder: str | None = None, since: datetime | None = None
    ) -> None:
        super().__init__(ref)
        self.ref, self.holder, self.since = ref, holder, since

    def __str__(self) -> str:
        by = f" by {self.holder}" if self.holder else ""
        since = f" since {self.since:%Y-%m-%dT%H:%M:%SZ}" if self.since else ""
        return f"ref {self.ref!r} is locked{by}{since}; wait for it, or abort it"


class ConnectionFailed(Unavailable):
    """No connection to `host`, or one that broke off in the middle."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host, self.reason = host, reason

    def __str__(self) -> str:
        return f"{self.host}: {self.reason}"


class TooManyRequests(Unavailable):
    """`host` asks for a pause, of so many seconds where it says how long."""

    def __init__(self, host: str, retry_after_s: float | None = None) -> None:
        super().__init__(host, retry_after_s)
        self.host, self.retry_after_s = host, retry_after_s

    def __str__(self) -> str:
        if not self.retry_after_s:
            return f"{self.host}: too many requests"
        return f"{self.host}: it asks for a pause of {self.retry_after_s:.0f} s"


class DataLoss(Error):
    """Stored bytes no longer match their digest."""

    def __init__(self, what: Any, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        return f"{self.what}: data loss: {self.reason}"


class DiskFailed(DataLoss):
    """The disk answered with an error: nothing that it was to keep since the last sync counts."""

    def __init__(self, what: object, error: OSError) -> None:
        super().__init__(what, error.strerror or str(error))
        self.errno = error.errno
