"""A real containerd for tests: Debian's, on folders and a socket of its own, ended by its pid."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.peers import peer

_READY = "containerd successfully booted"
_CONFIGURATION = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
imports = [{imports}]
disabled_plugins = [{disabled}]

[grpc]
address = "{address}"

[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "{sharing}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
"""
# Nothing is collected but when somebody waits for it.
_ASKED_ONLY = """
[plugins."io.containerd.gc.v1.scheduler"]
startup_delay = "24h"
pause_threshold = 0.0000001
mutation_threshold = 0
"""
_PROXY = """\
version = 2
disabled_plugins = ["io.containerd.content.v1.content"]
[proxy_plugins.lading]
type = "content"
address = "{content}"
"""
# What needs a kernel's help or a network of its own, and nothing here is about.
_DISABLED = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
]


class Containerd:
    """A containerd over a folder. With `content`, the socket of another content service, it
    keeps its blobs there and none of its own; `configuration` is what it reads besides.
    """

    def __init__(
        self,
        folder: Path,
        *,
        content: str | None = None,
        sharing: str = "shared",
        collects: bool = True,
        configuration: str | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # A socket's path has to be short, and a test's folder need not be.
        self._sockets = Path(tempfile.mkdtemp(prefix="lading-"))
        self.address = str(self._sockets / "containerd.sock")
        self._configuration = folder / "config.toml"
        if content:
            configuration = _PROXY.format(content=content.removeprefix("unix://"))
        imported = folder / "imported.toml"
        if configuration:
            imported.write_text(configuration)
        settings = _CONFIGURATION + ("" if collects else _ASKED_ONLY)
        self._configuration.write_text(
            settings.format(
                folder=folder,
                address=self.address,
                imports=f'"{imported}"' if configuration else "",
                disabled=", ".join(f'"{each}"' for each in _DISABLED),
                sharing=sharing,
            )
        )
        self._process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        """What it has said so far."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        process = subprocess.Popen(
            [peer("containerd"), "--config", self._configuration],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = process
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self._reader.start()
        assert ready.wait(60), "".join(self.log)
        assert process.poll() is None, "".join(self.log)

    def _read(self, ready: threading.Event) -> None:
        # Somebody has to go on reading, or the pipe fills up.
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            if _READY in line:
                ready.set()
        ready.set()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it: by SIGTERM in good order, by SIGKILL as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(sign)
            process.wait()
            self._reader.join()
            assert process.stderr is not None
            process.stderr.close()

    def close(self) -> None:
        """End it, and take its sockets away."""
        self.stop()
        shutil.rmtree(self._sockets)


@contextlib.contextmanager
def running_containerd(
    folder: Path,
    *,
    content: str | None = None,
    sharing: str = "shared",
    collects: bool = True,
) -> Iterator[str]:
    """The address of a containerd that runs until the block ends."""
    peer("containerd")
    server = Containerd(folder, content=content, sharing=sharing, collects=collects)
    try:
        server.start()
        yield server.address
    finally:
        server.close()
