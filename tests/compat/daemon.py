"""`lading serve`, for the peers of this folder."""

import contextlib
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

LADING = Path(sysconfig.get_path("scripts")) / "lading"
_READY = "listening on "
# Nothing is collected but when somebody waits for it.
_ASKED_ONLY = ("startup=24h", "poll=24h", "deletions=1000000", "mutations=0")


class Lading:
    """A lading over a folder, with two listeners: one for everybody, and one for a containerd
    that keeps its content here, in the namespace `containerd`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        metadata: str | None = None,
        sharing: str = "shared",
        collects: bool = True,
        processes: int = 1,
    ) -> None:
        self.folder = folder
        # A socket's path has to be short, and a test's folder need not be.
        self._sockets = Path(tempfile.mkdtemp(prefix="lading-"))
        self.address = f"unix://{self._sockets}/lading.sock"
        self.pinned = f"unix://{self._sockets}/pinned.sock"
        schedule = () if collects else _ASKED_ONLY
        self._command = [
            *(str(LADING), "serve", "--root", str(folder), "--sharing", sharing),
            *("--metadata", metadata or f"sqlite:///{folder}/metadata.db"),
            *("--listen", self.address, "--listen", f"{self.pinned},namespace=containerd"),
            *("--grace", "2s", "--log-level", "info", "--processes", str(processes)),
            *(word for each in schedule for word in ("--collection", each)),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        """What it has said so far."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self._reader.start()
        assert ready.wait(60), "".join(self.log)
        assert self._process.poll() is None, "".join(self.log)

    def _read(self, ready: threading.Event) -> None:
        # Somebody has to go on reading, or the pipe fills up.
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(line)
            if line.startswith(_READY):
                ready.set()
        ready.set()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """End it: by SIGTERM in good order, by SIGKILL as a crash does. Gives its exit code."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(sign)
        code = process.wait()
        self._reader.join()
        assert process.stdout is not None
        process.stdout.close()
        return code

    def close(self) -> None:
        """End it, and take its sockets away."""
        if self._process is not None:
            assert self.stop() == 0, "".join(self.log)
        shutil.rmtree(self._sockets)


@contextlib.contextmanager
def running_lading(
    folder: Path,
    *,
    metadata: str | None = None,
    sharing: str = "shared",
    collects: bool = True,
    processes: int = 1,
) -> Iterator[Lading]:
    """A lading that runs until the block ends."""
    server = Lading(
        folder, metadata=metadata, sharing=sharing, collects=collects, processes=processes
    )
    try:
        server.start()
        yield server
    finally:
        server.close()
