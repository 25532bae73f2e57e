"""Upload sessions: what a push has to remember, so that another process can go on with it.

    <folder>/<key>.json    where a registry takes a blob, and how far it got
    <folder>/<key>.lock    the kernel's lock on it hangs on this file, which is empty

The key is the SHA-256 of the lines registry, repository and digest, in hex. The URL of a session
can be all that it takes to write to it, so that nobody else may read these files.

A session is a help, and never a condition: one that cannot be read counts for nothing, and one that
cannot be written costs the resume and not the push.
"""

import fcntl
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from lading.model.digest import Digest
from lading.model.reference import Reference

VERSION = 1
LIFE_NS = 24 * 3600 * 10**9
"""How long a session is believed in, after the last bytes that the registry took by it."""
FILE_LIMIT = 64 << 10
URL_LIMIT = 32 << 10
SWEEP_LIMIT = 10_000
"""Names of the folder that are looked at, when old ones are removed."""

_NAME = re.compile(r"[0-9a-f]{64}\.(json|lock|[0-9a-f]{16}\.tmp)")
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadSession:
    """A blob on its way into a repository, as the registry last answered."""

    url: str
    """Where its bytes go; as secret as a password may be."""
    began_ns: int
    deadline_ns: int
    """When it is given up, and not asked for any more."""
    offset: int = 0
    """How many bytes the registry said it had. Only its own word, asked anew, counts."""
    last_chunk: int = 0
    """Bytes of the last chunk that it took."""
    least_chunk: int = 0
    """The smallest chunk that it takes, but for the last one; 0 where it says nothing."""
    chunk: int = 0
    """The largest chunk that it takes, where it has refused a larger one; else 0."""
    counts_chunks: bool = False
    """Whether its Range is of the last chunk alone, and not of all that it has."""
    takes_chunks: bool = True
    """Whether it takes chunks at all; if not, the session is of no use to another process."""

    def is_good_at(self, now_ns: int) -> bool:
        """Whether it is to be believed in now. A deadline too far off is of a clock that was."""
        return now_ns < self.deadline_ns <= now_ns + LIFE_NS


class UploadSessions:
    """The sessions of one user or one store. Any method may be called from any thread.

    Nothing is made on disk before there is something to remember.
    """

    def __init__(
        self, folder: Path | None = None, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.folder = folder or _own_folder()
        self.clock = clock
        self._has_swept = self._has_warned = False

    @contextmanager
    def of(self, reference: Reference, digest: Digest) -> Iterator["Remembered"]:
        """What is remembered of a blob's way into a reference's repository.

        It belongs to one upload until the block ends. Where another upload of the same blob runs,
        in this process or another, nothing is remembered of this one, which begins by itself: both
        succeed, and neither waits for a link that may be slow.
        """
        remembered = Remembered(self, reference, digest)
        try:
            yield remembered
        finally:
            remembered.close()

    def sweep(self) -> None:
        """Remove what nobody will go on with: old sessions, and what crashes left. Never fails."""
        with suppress(OSError), os.scandir(self.folder) as entries:
            for _, entry in zip(range(SWEEP_LIMIT), entries, strict=False):
                if _NAME.fullmatch(entry.name):
                    with suppress(OSError):
                        self._sweep(Path(entry.path))

    def sweep_once(self) -> None:
        """Do that, the first time that this is called."""
        if not self._has_swept:
            self._has_swept = True
            self.sweep()

    def warn_once(self, error: OSError) -> None:
        """Say in the log that nothing can be remembered, the first time that this is called."""
        if not self._has_warned:
            self._has_warned = True
            _logger.warning("%s: this push cannot be resumed: %s", self.folder, error.strerror)

    def _sweep(self, path: Path) -> None:
        if path.suffix == ".tmp":
            if self.clock() - path.stat().st_mtime_ns > LIFE_NS:
                path.unlink()
            return
        session = path.with_suffix(".json")
        lock = _lock(path.with_suffix(".lock"))
        if lock is None:
            return
        try:
            found = _read(session)
            if found is None or not found.is_good_at(self.clock()):
                session.unlink(missing_ok=True)
                path.with_suffix(".lock").unlink(missing_ok=True)
        finally:
            os.close(lock)


class Remembered:
    """One session on disk, and the lock on it. Belongs to one thread."""

    def __init__(self, sessions: UploadSessions, reference: Reference, digest: Digest) -> None:
        self._sessions = sessions
        self._names = {
            "registry": reference.host,
            "repository": reference.repository,
            "digest": str(digest),
        }
        key = sha256("\n".join(self._names.values()).encode()).hexdigest()
        self._path = sessions.folder / f"{key}.json"
        self._lock: int | None = None
        self._is_ours = True
        """Not where another upload has it, or where nothing can be written."""

    @property
    def now_ns(self) -> int:
        """The time by which deadlines are."""
        return self._sessions.clock()

    def read(self) -> UploadSession | None:
        """The session to go on with; None where there is none that is any good."""
        if not self._path.exists() or not self._take():
            return None
        found = _read(self._path, self._names)
        return found if found is not None and found.is_good_at(self.now_ns) else None

    def write(self, session: UploadSession) -> None:
        """Remember a session, durably; where that fails, say so in the log and go on."""
        if len(session.url) > URL_LIMIT:
            return
        record = {"version": VERSION, **self._names, **asdict(session)}
        try:
            self._sessions.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._take():
                self._sessions.sweep_once()
                _replace(self._path, json.dumps(record, indent=1).encode() + b"\n")
        except OSError as error:
            self._is_ours = False
            self._sessions.warn_once(error)

    def forget(self) -> None:
        """Have nobody go on with it: it is finished, or gone."""
        if self._lock is not None and self._is_ours:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it. Safe to call twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                # While it is held, so that nobody takes a file that has no name any more.
                if not self._path.exists():
                    self._path.with_suffix(".lock").unlink(missing_ok=True)
            os.close(lock)

    def _take(self) -> bool:
        if self._lock is None and self._is_ours:
            try:
                self._lock = _lock(self._path.with_suffix(".lock"))
            except OSError as error:
                self._sessions.warn_once(error)
            self._is_ours = self._lock is not None
        return self._is_ours


def _own_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG rules say that a relative path here counts as none.
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"  # noqa: PTH117 - of a text
    return base / "lading" / "uploads"


def _lock(path: Path) -> int | None:
    """Take a lock; None where somebody has it."""
    while True:
        file = os.open(path, _OPEN, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held, named = os.fstat(file), path.stat()
        except BlockingIOError:
            os.close(file)
            return None
        except FileNotFoundError:
            os.close(file)  # its last holder has removed it meanwhile
            continue
        except BaseException:
            os.close(file)
            raise
        if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
            return file
        os.close(file)


def _replace(path: Path, data: bytes) -> None:
    """Write a file in one step that a crash cannot split: bytes, then name, then the folder."""
    temporary = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
    file = os.open(temporary, _OPEN | os.O_EXCL, 0o600)
    try:
        try:
            os.write(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path, names: dict[str, str] | None = None) -> UploadSession | None:
    """A session of these names, or None for whatever else may lie there."""
    try:
        file = os.open(path, _READ)
        try:
            data = os.read(file, FILE_LIMIT + 1)
        finally:
            os.close(file)
        record = json.loads(data) if len(data) <= FILE_LIMIT else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("version") != VERSION:
        return None
    if names is not None and any(record.get(name) != value for name, value in names.items()):
        return None
    values: dict[str, Any] = {field.name: record.get(field.name) for field in fields(UploadSession)}
    return UploadSession(**values) if _is_session(values) else None


def _is_session(values: dict[str, Any]) -> bool:
    url = values["url"]
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        return False
    flags = ("counts_chunks", "takes_chunks")
    numbers = (value for name, value in values.items() if name not in {"url", *flags})
    return all(isinstance(values[name], bool) for name in flags) and all(
        isinstance(number, int) and not isinstance(number, bool) and number >= 0
        for number in numbers
    )
