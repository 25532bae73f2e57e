"""`lading get`: whole blobs, ranges, files that appear at once, and bytes that are not right."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from lading import Digest
from tests.conformance.samples import ABSENT, sample

DATA = sample(2_500_000)
DIGEST = Digest.of(DATA)


@pytest.fixture(autouse=True)
def blob(store):
    return store.add(DATA)


@pytest.fixture
def bad(store):
    """A blob whose bytes have rotted: one is another."""
    digest = store.add(b"good bytes").digest
    path = store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"goof bytes")
    return digest


@pytest.mark.parametrize("arguments", [[], ["-o", "-"]])
def test_the_bytes_go_to_stdout(run, arguments):
    done = run("get", DIGEST, *arguments)
    assert (done.exit_code, done.stdout_bytes, done.stderr) == (0, DATA, "")


def test_the_bytes_go_to_a_file_and_nothing_else_is_left_beside_it(run, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    done = run("get", DIGEST, "-o", folder / "layer")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (folder / "layer").read_bytes() == DATA
    assert list(folder.iterdir()) == [folder / "layer"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_every_algorithm_is_verified(run, store, algorithm):
    digest = Digest.of(b"bytes", algorithm)
    with store.writer("r", expected=digest) as writer:
        writer.write(b"bytes")
        writer.commit()
    assert run("get", digest).stdout_bytes == b"bytes"


def test_the_empty_blob_is_an_empty_file(run, store, tmp_path):
    run("get", store.add(b"").digest, "-o", tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_new_file_has_the_mode_that_the_user_wants_of_new_files(run, tmp_path):
    before = os.umask(0o027)
    try:
        run("get", DIGEST, "-o", tmp_path / "layer")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "layer").stat().st_mode) == 0o640


def test_a_file_that_is_there_is_replaced_and_keeps_its_mode(run, tmp_path):
    file = tmp_path / "layer"
    file.write_bytes(b"older and longer" * 1_000_000)
    file.chmod(0o604)
    assert run("get", DIGEST, "-o", file).exit_code == 0
    assert file.read_bytes() == DATA
    assert stat.S_IMODE(file.stat().st_mode) == 0o604


def test_a_file_that_runs_as_somebody_else_does_not_do_so_with_other_bytes(run, tmp_path):
    file = tmp_path / "layer"
    file.write_bytes(b"")
    file.chmod(0o4755)
    run("get", DIGEST, "-o", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


def test_a_file_needs_a_name(run, tmp_path):
    done = run("get", DIGEST, "-o", "")
    assert (done.exit_code, done.stderr) == (2, "lading: -o: a file needs a name\n")
    assert run("ingest", "").exit_code == 2


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_is_too(run, tmp_path, monkeypatch):
    calls = []

    def seen(name):
        real = getattr(os, name)

        def call(*arguments):
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            calls.append("fsync folder" if is_folder else name)
            return real(*arguments)

        monkeypatch.setattr(os, name, call)

    seen("fsync")
    seen("replace")
    assert run("get", DIGEST, "-o", tmp_path / "layer").exit_code == 0
    assert calls == ["fsync", "replace", "fsync folder"]


def test_a_link_stays_a_link(run, tmp_path):
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to("file")
    run("get", DIGEST, "-o", link)
    assert link.is_symlink()
    assert file.read_bytes() == DATA


def test_a_device_is_written_to_and_not_replaced(run):
    done = run("get", DIGEST, "-o", os.devnull)
    assert done.exit_code == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--offset", "10"], DATA[10:]),
        (["--size", "10"], DATA[:10]),
        (["--size", "0"], b""),
        (["--offset", "2000000", "--size", "100"], DATA[2_000_000:2_000_100]),
        (["--offset", "2400000", "--size", "9000000"], DATA[2_400_000:]),
        (["--offset", "2500000"], b""),
    ],
)
def test_a_range_is_what_was_asked_for(run, arguments, expected):
    assert run("get", DIGEST, *arguments).stdout_bytes == expected


def test_an_offset_behind_the_end_is_a_failure(run, tmp_path):
    done = run("get", DIGEST, "--offset", "2500001", "-o", tmp_path / "layer")
    assert done.exit_code == 1
    assert "offset 2500001 is out of range, the limit is 2500000" in done.stderr
    assert not (tmp_path / "layer").exists()


def test_a_range_says_that_it_is_not_verified(run):
    assert run("get", "--help").stdout.count("Not verified.") == 2


def test_wrong_bytes_leave_no_file(run, bad, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    done = run("get", bad, "-o", folder / "layer")
    assert done.exit_code == 5
    found = hashlib.sha256(b"goof bytes").hexdigest()
    assert f"{bad}: data loss: the bytes are those of sha256:{found}" in done.stderr
    assert list(folder.iterdir()) == []


def test_wrong_bytes_leave_the_file_that_was_there(run, bad, tmp_path):
    (tmp_path / "layer").write_bytes(b"older")
    assert run("get", bad, "-o", tmp_path / "layer").exit_code == 5
    assert (tmp_path / "layer").read_bytes() == b"older"


def test_wrong_bytes_on_stdout_are_exit_5(run, bad):
    assert run("get", bad).exit_code == 5


def test_a_range_of_wrong_bytes_is_given_as_it_is(run, bad):
    done = run("get", bad, "--offset", "2", "--size", "3")
    assert (done.exit_code, done.stdout_bytes) == (0, b"of ")


def test_a_blob_that_is_not_here_is_exit_3_and_no_file(run, tmp_path):
    done = run("get", ABSENT, "-o", tmp_path / "layer")
    assert done.exit_code == 3
    assert done.stderr.startswith(f"lading: {ABSENT}: not found; `lading ls`")
    assert not (tmp_path / "layer").exists()


def test_a_folder_that_is_not_there_is_a_failure_of_the_file_that_was_named(run, tmp_path):
    file = tmp_path / "no" / "layer"
    done = run("get", DIGEST, "-o", file)
    assert done.exit_code == 1
    assert done.stderr == f"lading: {file}: No such file or directory\n"


@pytest.mark.parametrize("name", ["", "no-folder/"])
def test_a_folder_is_no_file_to_write_to(run, tmp_path, name):
    done = run("get", DIGEST, "-o", f"{tmp_path}/{name}")
    assert done.exit_code == 1
    assert "Is a directory" in done.stderr


def test_something_that_is_no_digest_is_wrong_usage(run):
    done = run("get", "latest")
    assert done.exit_code == 2
    assert done.stderr.startswith("lading: DIGEST: not a digest: 'latest'; write sha256:")


def test_a_disk_that_fails_under_the_blob_is_told_from_one_that_fails_under_the_file(
    run, store, tmp_path, monkeypatch
):
    class Failing:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def seek(self, offset):
            return self.file.seek(offset)

        def read(self, size):
            raise OSError(5, "Input/output error")

    opened = type(store).open
    monkeypatch.setattr(type(store), "open", lambda self, digest: Failing(opened(self, digest)))
    done = run("get", DIGEST, "-o", tmp_path / "layer")
    assert done.exit_code == 5
    assert "data loss: Input/output error" in done.stderr
    assert not (tmp_path / "layer").exists()


def test_a_blob_that_ends_before_a_range_does_is_exit_5(run, store, tmp_path, monkeypatch):
    longer = store.blob(DIGEST)._replace(size=len(DATA) + 10)
    monkeypatch.setattr(type(store), "blob", lambda self, digest: longer)
    done = run("get", DIGEST, "--offset", "5", "-o", tmp_path / "layer")
    assert done.exit_code == 5
    assert "it ends 10 bytes early" in done.stderr
    assert not (tmp_path / "layer").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_worth_trying_again(run):
    done = run("get", DIGEST, "-o", "/dev/full")
    assert done.exit_code == 7
    assert done.stderr.endswith("lading: /dev/full: No space left on device\n")
