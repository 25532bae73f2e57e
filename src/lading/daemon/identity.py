"""What a daemon is known by: a UUID that stays with the root, whichever process serves it."""

import os
import uuid
from pathlib import Path

_NAME = "server.uuid"


def identity_of(root: Path) -> str:
    """The UUID of a root, which this makes where there is none. Daemons may ask at one time."""
    path = root / _NAME
    try:
        return str(uuid.UUID(path.read_text().strip()))
    except (FileNotFoundError, ValueError):
        pass  # none yet, or one that a power cut has left empty
    root.mkdir(parents=True, exist_ok=True)
    made = str(uuid.uuid4())
    new = path.with_name(f"{_NAME}.{made}")
    try:
        with new.open("x") as file:
            file.write(f"{made}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)  # the first one wins, and never a file that is half written
        except FileExistsError:
            return _kept(path, new, made)
    finally:
        new.unlink(missing_ok=True)
    return made


def _kept(path: Path, new: Path, made: str) -> str:
    """What another daemon has just written; or ours, in the place of a file that says nothing."""
    try:
        return str(uuid.UUID(path.read_text().strip()))
    except ValueError:
        new.replace(path)
        return made
