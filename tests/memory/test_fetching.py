import contextlib
import hashlib
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.memory.eating import BLOCK

TREE = Path(__file__).parents[2]
LIMIT = 64 << 20
SIZE = 512 << 20


class Blocks(BaseHTTPRequestHandler):
    """Serves many equal blocks, whole or a range of them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, SIZE)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{SIZE}")
        self.end_headers()
        # Whoever opens a window hangs up on the stream that it had before.
        with contextlib.suppress(OSError):
            while start < end:
                place = start % len(BLOCK)
                piece = memoryview(BLOCK)[place : place + end - start]
                self.wfile.write(piece)
                start += len(piece)

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blocks)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/blob"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("streams", [1, 6])
def test_half_a_gibibyte_is_fetched_in_64_mib(url, streams, tmp_path):
    hash_ = hashlib.sha256()
    for _ in range(SIZE // len(BLOCK)):
        hash_.update(BLOCK)
    words = [tmp_path / "root", url, f"sha256:{hash_.hexdigest()}", SIZE, streams]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.memory.fetching", *map(str, words)],
        cwd=TREE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    grown, requests = map(int, ran.stdout.split())
    assert grown <= LIMIT
    assert requests == 1 if streams == 1 else requests > 100, "it was parallel"
    for file in (tmp_path / "root" / "blobs" / "sha256").iterdir():
        file.unlink()  # and is not kept with those of the last runs
