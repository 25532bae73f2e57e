"""What SQLite and the system said in their own words, said in ours."""

import errno
import sqlite3
from datetime import timedelta

from lading.errors import DatabaseFull, DataLoss, FailedPrecondition, PermissionDenied, Unavailable

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
FORBIDDEN = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}
_SPOILED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}
EVERYBODYS = BUSY | FORBIDDEN | _SPOILED | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM}
"""Errors that concern the file, and so whoever writes to it now."""
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def translated(error: Exception, path: str, wait: timedelta) -> Exception:
    """Say which of our errors it is, for the database at `path`; other errors as they are."""
    if isinstance(error, OSError):
        return _translated_from_system(error, path)
    code = code_of(error)
    if code in BUSY:
        return Unavailable(
            f"{path}: busy for longer than {wait.total_seconds():g} seconds; try again later"
        )
    if code in _NO_ROOM or getattr(error, "sqlite_errorcode", 0) in _NO_ROOM:
        return DatabaseFull(path)
    if code in FORBIDDEN:
        return PermissionDenied(path, str(error))
    if code in _SPOILED:
        return DataLoss(path, f"{error}; put back a copy, or rebuild it from the blobs")
    return error


def code_of(error: Exception) -> int:
    """SQLite's primary code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _translated_from_system(error: OSError, path: str) -> Exception:
    if error.errno in _FULL:
        return DatabaseFull(path)
    if error.errno in _READ_ONLY:
        return PermissionDenied(error.filename or path, str(error.strerror))
    if error.errno in {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}:
        return FailedPrecondition(f"{error.filename or path}: {error.strerror}")
    return error
