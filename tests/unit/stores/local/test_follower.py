"""The hash follower: it hashes what the file holds, alone or in its thread."""

import os
import threading

import pytest

from lading.model import hashing
from lading.model.digest import Digest
from lading.stores.local import follower
from lading.stores.local.follower import HashFollower, digest_of

MANY = bytes(range(256)) * 20


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    """So that few bytes are much."""
    monkeypatch.setattr(follower, "READ_SIZE", 100)
    monkeypatch.setattr(follower, "INLINE_LIMIT", 300)
    monkeypatch.setattr(follower, "LAG_LIMIT", 1000)
    monkeypatch.setattr(follower, "STEP", 500)


@pytest.fixture
def file(tmp_path):
    opened = os.open(tmp_path / "data", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


class Followed:
    """A file, its follower, and the steps that it made."""

    def __init__(self, file, position=0, hasher=None):
        self.file, self.steps = file, []
        self.follower = HashFollower(
            file, hasher or hashing.hasher("sha256"), position, self._on_step
        )

    def _on_step(self, position, hasher):
        self.steps.append((position, hasher.digest()))

    def grow(self, data):
        end = os.lseek(self.file, 0, os.SEEK_END)
        os.pwrite(self.file, data, end)
        self.follower.advance(end + len(data))

    def digest(self):
        return self.follower.finish().digest()


@pytest.fixture
def followed(file):
    one = Followed(file)
    yield one
    one.follower.stop()


def has_thread(followed):
    return followed.follower._thread is not None


@pytest.mark.parametrize("piece", [1, 7, 99, 100, 101, 299, 300, 1000, len(MANY)])
def test_the_digest_is_that_of_the_file_whatever_the_pieces(piece, followed):
    for place in range(0, len(MANY), piece):
        followed.grow(MANY[place : place + piece])
    assert followed.digest() == Digest.of(MANY)
    assert followed.follower.waiting == 0


def test_little_is_hashed_without_a_thread_and_when_it_is_asked_for(followed):
    followed.grow(b"a" * 299)
    assert not has_thread(followed)
    assert followed.follower.waiting == 299
    assert followed.digest() == Digest.of(b"a" * 299)
    assert followed.follower.waiting == 0
    followed.grow(b"b" * 299)
    assert not has_thread(followed)
    assert followed.digest() == Digest.of(b"a" * 299 + b"b" * 299)


def test_much_is_hashed_by_a_thread_that_ends_when_it_is_told_to(followed):
    followed.grow(b"a" * 300)
    assert has_thread(followed)
    assert followed.digest() == Digest.of(b"a" * 300)
    followed.grow(b"b")  # too little for a step of its own, and asked for
    assert followed.digest() == Digest.of(b"a" * 300 + b"b")
    followed.follower.stop()
    followed.follower.stop()
    assert not [each for each in threading.enumerate() if each.name == "lading-hash"]


def test_it_hashes_what_the_file_holds_and_not_what_was_said(followed):
    followed.grow(b"a" * 200)
    os.pwrite(followed.file, b"b" * 50, 0)
    assert followed.digest() == Digest.of(b"b" * 50 + b"a" * 150)


def test_it_goes_on_where_another_hash_stopped(file):
    os.pwrite(file, MANY, 0)
    hasher = hashing.hasher("sha256")
    hasher.update(MANY[:1234])
    followed = Followed(file, 1234, hasher)
    followed.follower.advance(len(MANY))
    assert followed.digest() == Digest.of(MANY)
    followed.follower.stop()


@pytest.mark.parametrize("piece", [50, 700])
def test_it_calls_after_each_step_with_the_hash_up_to_there(piece, followed):
    for place in range(0, 4900, piece):
        followed.grow(MANY[place : place + piece])
    followed.digest()
    assert len(followed.steps) >= 4900 // 600
    for position, digest in followed.steps:
        assert digest == Digest.of(MANY[:position])
    gaps = [b - a for (a, _), (b, _) in zip(followed.steps, followed.steps[1:], strict=False)]
    assert all(500 <= gap <= 600 for gap in gaps)


def test_no_more_waits_than_the_limit(followed):
    for place in range(0, len(MANY), 640):
        followed.grow(MANY[place : place + 640])
        assert followed.follower.waiting <= 1000 + 640
    assert followed.digest() == Digest.of(MANY)


@pytest.mark.parametrize("size", [200, 2000])
def test_a_file_that_ends_too_early_is_an_error_and_not_a_shorter_hash(size, file):
    followed = Followed(file)
    os.pwrite(file, b"a" * (size - 1), 0)
    followed.follower.advance(size)
    for _ in range(2):
        with pytest.raises(EOFError, match=f"the file ends at {size - 1}, not at {size}"):
            followed.follower.finish()
    followed.follower.stop()


def test_after_an_error_in_the_thread_a_writer_is_not_kept_waiting(file):
    followed = Followed(file)
    os.pwrite(file, b"a" * 300, 0)
    followed.follower.advance(2000)
    followed.follower.advance(5000)
    with pytest.raises(EOFError):
        followed.follower.finish()
    followed.follower.stop()


def test_an_error_of_the_disk_in_the_thread_comes_out_where_the_digest_is_asked_for(tmp_path):
    write_only = os.open(tmp_path / "data", os.O_WRONLY | os.O_CREAT)
    followed = Followed(write_only)
    followed.grow(b"a" * 1000)
    with pytest.raises(OSError, match="Bad file descriptor"):
        followed.follower.finish()
    followed.follower.stop()
    os.close(write_only)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("size", [0, 1, 299, 300, 5000])
def test_the_digest_of_the_beginning_of_a_file(algorithm, size, file):
    os.pwrite(file, MANY, 0)
    assert digest_of(file, size, algorithm) == Digest.of(MANY[:size], algorithm)
    with pytest.raises(EOFError):
        digest_of(file, len(MANY) + 1, algorithm)
