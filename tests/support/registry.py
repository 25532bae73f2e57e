"""A real registry for tests: Debian's, on a loopback port that it picks, over a folder.

running_registry   the registry, which says what it is asked for
push               an image that the test made from bytes, brought there by skopeo

It lets everybody in over plain http, unless it is told otherwise: `passwords` for Basic, a
`token_server`, `tls` and a `client_authority`; and it is a mirror of another one with `mirror_of`.
"""

import contextlib
import gzip
import hashlib
import http.client
import io
import itertools
import json
import platform
import re
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.peers import peer
from tests.support.token_server import ISSUER, SERVICE, TokenServer

ALICE = ("alice", "wonder:land")
"""Whom a registry with `passwords` knows."""
_PASSWORDS = "alice:$2b$05$abcdefghijklmnopqrstuu12xgx35XzVimpLAARVsY.qvjwFuB00y\n"  # bcrypt
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NUMBERS = itertools.count()
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Image(NamedTuple):
    """An image as bytes: its manifest, its config and its layers, and a blob for each."""

    manifest: bytes
    config: bytes
    layers: Sequence[bytes]

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest(self.manifest)

    @property
    def blobs(self) -> Mapping[str, bytes]:
        """Every blob under its digest."""
        return {digest(blob): blob for blob in (self.manifest, self.config, *self.layers)}


def digest(blob: bytes) -> str:
    """Computed without lading, which is what is tested."""
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def image(*layers: Mapping[str, bytes], env: str = "A=1") -> Image:
    """An image of this machine's platform; each layer is its files and what is in them."""
    tars = [_tar(files) for files in layers]
    # No time stamp, so that the same files make the same image; and large ones quickly.
    packed = [gzip.compress(tar, compresslevel=0, mtime=0) for tar in tars]
    machine = platform.machine()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {"Env": [env]},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
            "history": [{"created_by": "a test"} for _ in tars],
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                _descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)
                for layer in packed
            ],
        }
    ).encode()
    return Image(manifest, config, packed)


def _descriptor(media_type: str, blob: bytes) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def write_layout(made: Image, folder: Path, tag: str = "latest") -> Path:
    """Write an image as an OCI layout."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for name, data in made.blobs.items():
        (blobs / name.removeprefix("sha256:")).write_bytes(data)
    named = {
        **_descriptor(_MANIFEST, made.manifest),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return folder


def _configuration(
    folder: Path,
    *,
    passwords: bool,
    token_server: TokenServer | None,
    tls: tuple[Path, Path] | None,
    client_authority: Path | None,
    mirror_of: str | None,
) -> dict[str, Any]:
    """What the registry reads. JSON is YAML, too."""
    http: dict[str, Any] = {"addr": "127.0.0.1:0"}
    configuration: dict[str, Any] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": False}, "level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": f"{folder}/storage"},
            "delete": {"enabled": mirror_of is None},
        },
        "http": http,
    }
    if tls is not None:
        http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    if client_authority is not None:
        http["tls"]["clientcas"] = [str(client_authority)]
    if passwords:
        (folder / "passwords").write_text(_PASSWORDS)
        basic = {"realm": "the tests", "path": f"{folder}/passwords"}
        configuration["auth"] = {"htpasswd": basic}
    if token_server is not None:
        configuration["auth"] = {
            "token": {
                "realm": token_server.url,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(token_server.bundle),
            }
        }
    if mirror_of is not None:
        configuration["proxy"] = {"remoteurl": mirror_of}
    return configuration


def _is_of(path: str, line: str) -> bool:
    return path in line and ' HTTP/1.1" ' in line


class Registry:
    """A registry that runs."""

    def __init__(
        self,
        folder: Path,
        *,
        passwords: bool = False,
        token_server: TokenServer | None = None,
        tls: tuple[Path, Path] | None = None,
        client_authority: Path | None = None,
        mirror_of: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        configuration = folder / "config.yml"
        content = _configuration(
            folder,
            passwords=passwords,
            token_server=token_server,
            tls=tls,
            client_authority=client_authority,
            mirror_of=mirror_of,
        )
        configuration.write_text(json.dumps(content))
        self._process = subprocess.Popen(
            [peer("docker-registry"), "serve", configuration],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.log: list[str] = []
        """What it has said so far, a line for each request among it."""
        self._said = threading.Condition()
        self._tls = tls
        self._listening = threading.Event()
        self.host = ""
        """Its address, as it stands before the name of an image."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(60), "".join(self.log)
        assert self.host, "".join(self.log)

    def _read(self) -> None:
        # Somebody has to go on reading, or the pipe fills up.
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._said:
                self.log.append(line)
                self._said.notify_all()
            if found := _LISTENING.search(line):
                self.host = found[1]
                self._listening.set()
        self._listening.set()

    @property
    def requests(self) -> list[str]:
        """A line for each request that was answered: method, path and status among others.

        A registry answers first and writes its log then. So this asks for something, and waits
        until that is in the log.
        """
        mark = f"/v2/{next(_NUMBERS)}-is-no-path"
        connection: http.client.HTTPConnection = http.client.HTTPConnection(self.host, timeout=60)
        if self._tls:
            context = ssl._create_unverified_context()  # noqa: S323 - on the loopback
            connection = http.client.HTTPSConnection(self.host, timeout=60, context=context)
        with contextlib.closing(connection):
            connection.request("GET", mark)
            connection.getresponse().read()
        with self._said:
            assert self._said.wait_for(lambda: any(map(partial(_is_of, mark), self.log)), 60)
            return [
                line for line in self.log if ' HTTP/1.1" ' in line and "-is-no-path" not in line
            ]

    def push(
        self,
        made: Image,
        name: str,
        *,
        credential: tuple[str, str] | None = None,
        certificates: Path | None = None,
    ) -> str:
        """Bring an image there, and give its whole reference.

        `certificates` is a folder as docker has it: *.crt to trust, *.cert and *.key to be.
        """
        reference = f"{self.host}/{name}"
        layout = write_layout(made, self._folder / f"layout-{made.digest[7:]}-{len(self.log)}")
        copy = subprocess.run(
            [
                *(peer("skopeo"), "--insecure-policy", "copy"),
                *([f"--dest-creds={':'.join(credential)}"] if credential else []),
                f"--dest-cert-dir={certificates}" if certificates else "--dest-tls-verify=false",
                *("--preserve-digests", f"oci:{layout}:latest", f"docker://{reference}"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert copy.returncode == 0, copy.stderr
        return reference

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def running_registry(folder: Path, **settings: Any) -> Iterator[Registry]:
    """A registry that runs until the block ends."""
    peer("docker-registry")
    peer("skopeo")
    registry = Registry(folder, **settings)
    try:
        yield registry
    finally:
        registry.stop()
