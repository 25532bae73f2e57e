"""What a daemon is known by stays with its root."""

import threading
import uuid

import pytest

from lading.daemon.identity import identity_of


def test_an_identity_is_a_uuid_and_stays(root):
    first = identity_of(root)
    assert str(uuid.UUID(first)) == first
    assert identity_of(root) == first
    assert [path.name for path in root.iterdir()] == ["server.uuid"]


def test_another_root_has_another_identity(folder):
    assert identity_of(folder / "a") != identity_of(folder / "b")


@pytest.mark.parametrize("left", [b"", b"not one\n"])
def test_a_file_that_says_nothing_is_written_anew(root, left):
    root.mkdir()
    (root / "server.uuid").write_bytes(left)
    first = identity_of(root)
    assert (root / "server.uuid").read_text() == f"{first}\n"
    assert identity_of(root) == first


def test_who_asks_at_one_time_hears_one_answer(root):
    begin, heard = threading.Barrier(8), set()

    def ask():
        begin.wait()
        heard.add(identity_of(root))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 1
