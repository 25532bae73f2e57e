"""The machine a table was made on."""

import os
import platform
import ssl
from datetime import UTC, datetime
from pathlib import Path


def described(folder: Path) -> str:
    """Say, in one line, what the figures depend on."""
    facts = (
        f"{datetime.now(UTC):%Y-%m-%d}",
        _processor(),
        f"{os.cpu_count()} cores",
        f"{platform.system()} {platform.release()}",
        _file_system(folder),
        f"Python {platform.python_version()}",
        ssl.OPENSSL_VERSION.rpartition(" ")[0].rsplit(" ", 2)[0],
    )
    return ", ".join(fact for fact in facts if fact)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _file_system(folder: Path) -> str:
    """The type of the file system a folder is on, where the kernel lists its mounts."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    above = {str(path) for path in (folder.resolve(), *folder.resolve().parents)}
    fitting = [mount for mount in mounts if mount[1] in above]
    return max(fitting, key=lambda mount: len(mount[1]))[2] if fitting else ""
