"""Archives: by the command, against skopeo between a layout and a tar."""

import hashlib
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.peers import PEERS

from benchmarks import table
from benchmarks.material import GIB, MIB, chunks
from benchmarks.programs import Word, started
from benchmarks.session import Session

NAME = "registry.example/app:1"
LAYERS = 4
_LADING = [sys.executable, "-m", "lading.cli"]
_SKOPEO = ["skopeo", "--insecure-policy", "copy", "--quiet"]
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def rows(session: Session) -> Iterator[table.Row]:
    """Export and import of a large image; none where skopeo is not installed."""
    if PEERS["skopeo"].find() is None:
        session.say("archives: not installed: skopeo; its rows are left out")
        return
    each = session.size(512 * MIB, quick=2 * MIB)
    size = LAYERS * each
    with session.scratch(room=6 * size + GIB) as folder:
        layout = _layout(folder / "layout", each)
        archive, root = folder / "image.tar", folder / "root"
        _run([*_LADING, "--root", root, *_QUIET_IMPORT, "--name", NAME, layout])
        export: list[Word] = [*_LADING, "--root", root, "export", "--progress", "none", "-o"]
        _run([*export, archive, NAME])
        numbers = itertools.count()

        def into(*command: Word, what: str) -> float:
            target = folder / f"{what}-{next(numbers)}"
            words = [target if word == "TARGET" else word for word in command]
            # skopeo says `kind:path` in one word.
            words = [str(word).replace("TARGET", str(target)) for word in words]
            try:
                return _run(words)
            finally:
                if target.is_dir():
                    shutil.rmtree(target)
                else:
                    target.unlink()

        what = f"export of {LAYERS} layers of {each // MIB} MiB to a tar; skopeo from a layout"
        session.say(what)
        times = session.compare(
            {
                "lading": lambda: into(*export, "TARGET", NAME, what="tar"),
                "skopeo": lambda: into(
                    *(*_SKOPEO, f"oci:{layout}:1", "oci-archive:TARGET:1"), what="tar"
                ),
            },
            uses=size,
        )
        yield table.faster(what, times, ours="lading", rival="skopeo", at_least=2.0)
        what = f"import of {LAYERS} layers of {each // MIB} MiB from a tar; skopeo to a layout"
        session.say(what)
        times = session.compare(
            {
                "lading": lambda: into(
                    *_LADING, "--root", "TARGET", *_QUIET_IMPORT, archive, what="root"
                ),
                "skopeo": lambda: into(
                    *(*_SKOPEO, f"oci-archive:{archive}:1", "oci:TARGET:1"), what="layout"
                ),
            },
            uses=size,
        )
        yield table.faster(what, times, ours="lading", rival="skopeo", at_least=2.0)


_QUIET_IMPORT = ("import", "--progress", "none")


def _run(command: list[Word]) -> float:
    """Run a program to its end, and say how long that took."""
    began = time.perf_counter()
    with started(command) as process:
        assert process.wait() == 0, command
    return time.perf_counter() - began


def _layout(folder: Path, each: int) -> Path:
    """Make an image layout of layers that differ in their first bytes."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    ).encode()
    layers = [_layer(blobs, number, each) for number in range(LAYERS)]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _put(blobs, config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers,
        }
    ).encode()
    named = _put(blobs, manifest, _MANIFEST)
    named["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def _put(blobs: Path, data: bytes, media_type: str) -> dict[str, object]:
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


def _layer(blobs: Path, number: int, size: int) -> dict[str, object]:
    hash_ = hashlib.sha256()
    path = blobs / "unnamed"
    with path.open("wb", buffering=0) as file:
        for position, chunk in enumerate(chunks(size)):
            data = number.to_bytes(8, "big") + chunk[8:] if position == 0 else chunk
            file.write(data)
            hash_.update(data)
        os.fsync(file.fileno())
    path.rename(blobs / hash_.hexdigest())
    return {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": f"sha256:{hash_.hexdigest()}",
        "size": size,
    }
