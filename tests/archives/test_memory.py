"""However large an archive is, and however it comes, it is never in memory."""

import hashlib
import json
import subprocess
import sys

import pytest

from tests.archives.building import LAYOUT, descriptor, entry, index, path_of
from tests.support.registry import digest

MIB = 1 << 20
SIZE = 200 * MIB
LIMIT = 24 * MIB
"""Over what the interpreter and the modules take; for any size the promise is 64 MiB."""
WATCHED = """
import sys
from lading import LocalStore
from lading.oci.archives.exporting import export_archive
from lading.oci.archives.importing import import_archive
def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) << 10
before = peak()
store = LocalStore(sys.argv[1])
source = sys.argv[2] if sys.argv[2] != "-" else open(0, "rb", buffering=0)
imported = import_archive(source, into=store)
export_archive(imported, sys.argv[3], source=store)
print(peak() - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An archive of one large layer, written piece by piece."""
    piece = bytes(range(256)) * 4096
    hash_ = hashlib.sha256()
    for _ in range(SIZE // len(piece)):
        hash_.update(piece)
    layer = {"mediaType": "text/plain", "digest": f"sha256:{hash_.hexdigest()}", "size": SIZE}
    manifest = json.dumps({"schemaVersion": 2, "layers": [layer]}).encode()
    path = tmp_path_factory.mktemp("large") / "large.tar"
    with path.open("wb") as file:
        file.write(entry(path_of(layer["digest"]), size=SIZE))
        for _ in range(SIZE // len(piece)):
            file.write(piece)
        file.write(entry(path_of(digest(manifest)), manifest))
        file.write(entry("index.json", index(descriptor(manifest))))
        file.write(entry("oci-layout", LAYOUT) + bytes(1024))
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
@pytest.mark.parametrize("way", ["file", "pipe", "gzip"])
def test_an_archive_costs_as_much_memory_as_a_small_one(large, tmp_path, own_environment, way):
    feed = "gzip -1 <" if way == "gzip" else "cat <"
    command = [sys.executable, "-c", WATCHED, tmp_path / "root"]
    command += [large if way == "file" else "-", tmp_path / "out.tar"]
    done = subprocess.run(
        ["sh", "-c", f'{feed} "$0" | "$@"', large, *command],  # noqa: S607 - the system's
        env=own_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT
