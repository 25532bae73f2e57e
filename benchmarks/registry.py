"""A registry for benchmarks: Debian's docker-registry on loopback, with images made here."""

import json
import re
import resource
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.material import chunks
from benchmarks.programs import Word, started
from benchmarks.servers import found
from lading.model.digest import Digest
from lading.oci.transport.http import Http, Tls

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIGURATION = """\
version: 0.1
log: {{accesslog: {{disabled: true}}, level: info}}
storage:
  filesystem: {{rootdirectory: {folder}/storage}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:0
{tls}"""
_TLS = "  tls: {{certificate: {certificate}, key: {key}}}\n"
_LISTENING = re.compile(rb"listening on (127\.0\.0\.1:\d+)")


class Spent(NamedTuple):
    """What a program took: seconds on the clock, and seconds of the cores."""

    seconds: float
    cpu: float


class Image(NamedTuple):
    """An image in the registry."""

    name: str
    digest: Digest
    layers: tuple[Digest, ...]
    size: int


class Registry:
    """A registry that runs."""

    def __init__(self, host: str, http: Http, tls: Tls | None) -> None:
        self.host, self.tls = host, tls
        self._http = http
        self._scheme = "http" if tls is None else "https"

    def url(self, image: Image, layer: Digest) -> str:
        """Where the bytes of a layer are."""
        return f"{self._scheme}://{self.host}/v2/{image.name}/blobs/{layer}"

    def reference(self, image: Image) -> str:
        """How a client names an image."""
        return f"{self.host}/{image.name}:1"

    def make(self, name: str, *, layers: int, each: int) -> Image:
        """Put an image there whose layers are `each` bytes, no two alike."""
        found = [self._put(name, _layer(number, each)) for number in range(layers)]
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in found]},
                "config": {"Labels": {"benchmark": name}},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _described(_CONFIG, self._put(name, [config]), len(config)),
                "layers": [_described(_LAYER, digest, each) for digest in found],
            }
        ).encode()
        self._send("PUT", f"{name}/manifests/1", [manifest], kind=MANIFEST)
        return Image(name, Digest.of(manifest), tuple(found), layers * each)

    def _put(self, name: str, pieces: Sequence[bytes]) -> Digest:
        import hashlib  # noqa: PLC0415 - beside what it is for

        hasher = hashlib.sha256()
        for piece in pieces:
            hasher.update(piece)
        digest = Digest.known_good("sha256", hasher.hexdigest())
        location = self._send("POST", f"{name}/blobs/uploads/", [])
        self._send("PUT", f"{location}&digest={digest}", pieces)
        return digest

    def _send(self, method: str, path: str, pieces: Sequence[bytes], *, kind: str = "") -> str:
        url = path if "://" in path else f"{self._scheme}://{self.host}/v2/{path}"
        headers = {
            "Content-Length": str(sum(map(len, pieces))),
            "Content-Type": kind or "application/octet-stream",
        }
        with self._http.request(
            method, url, headers=headers, body=list(pieces), tls=self.tls or Tls()
        ) as answer:
            text = answer.read(1 << 20)
            assert answer.status in {201, 202}, (answer.status, text)
            return answer.headers.get("Location", "")


def _layer(number: int, size: int) -> list[bytes]:
    pieces = [bytes(piece) for piece in chunks(size)]
    pieces[0] = size.to_bytes(8, "little") + number.to_bytes(8, "little") + pieces[0][16:]
    return pieces


def _described(media_type: str, digest: Digest, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}


def absent() -> list[str]:
    """What is not installed here of what the groups of registries need."""
    needed = ("docker-registry", "skopeo", "containerd", "ctr", "openssl")
    return [name for name in needed if found(name) is None]


@contextmanager
def running(folder: Path, *, secure: bool = False) -> Iterator[Registry]:
    """Lend a registry over an empty folder, and end it."""
    folder.mkdir(parents=True)
    tls = _certified(folder) if secure else None
    configuration = folder / "config.yml"
    pair = {"certificate": folder / "server.crt", "key": folder / "server.key"}
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, tls=_TLS.format(**pair) if secure else "")
    )
    program = found("docker-registry")
    assert program is not None
    command = ["sh", "-c", 'exec "$0" serve "$1" 2>&1', program, str(configuration)]
    with started(command, folder=folder) as process:
        host = _listening(process)
        http = Http()
        try:
            yield Registry(host, http, tls)
        finally:
            http.close()
            process.terminate()


def _listening(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if match := _LISTENING.search(line):
            # Somebody has to go on reading, or the pipe fills up.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return match[1].decode()
    raise ChildProcessError("docker-registry did not start")


def _certified(folder: Path) -> Tls:
    """Make a certificate for 127.0.0.1 that signs itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=benchmark"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "server.key", "-out", folder / "server.crt"),
        ],
        check=True,
        capture_output=True,
    )
    return Tls(authorities=(str(folder / "server.crt"),))


def spent(command: Sequence[Word], *, folder: Path | None = None) -> Spent:
    """Run a program to its end, and say what it took; its own children's work is in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with started(command, folder=folder) as program:
        output, _ = program.communicate()
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, [*map(str, command)], output)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(seconds, cpu)
