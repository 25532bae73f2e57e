"""`lading ingest`: files and streams, whole, resumed, added to and refused."""

import io
import json
import os
import pty
import subprocess

import pytest

from lading import Digest
from lading.cli.source import Source
from lading.content import transfer
from lading.content.transfer import ref_for
from lading.errors import ResourceExhausted
from tests.conformance.samples import begin, digests_in, refs_in, sample

DATA = sample(300_000)
DIGEST = Digest.of(DATA)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "layer.tar"
    path.write_bytes(DATA)
    return path


def test_a_file_becomes_a_blob_and_its_digest_is_all_that_stdout_has(run, file, store):
    done = run("ingest", file)
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert store.read(DIGEST) == DATA
    assert refs_in(store) == []


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_a_stream_becomes_a_blob(run, store, arguments):
    done = run("ingest", *arguments, stdin=DATA)
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert store.read(DIGEST) == DATA


def test_an_empty_stream_is_the_empty_blob(run, store):
    done = run("ingest")
    assert (done.exit_code, done.stdout) == (0, f"{Digest.of(b'')}\n")
    assert digests_in(store) == [Digest.of(b"")]


def test_what_is_here_already_is_no_error(run, file):
    run("ingest", file)
    again = run("ingest", file, "--expected-digest", DIGEST)
    assert (again.exit_code, again.stdout) == (0, f"{DIGEST}\n")
    assert "already here" in again.stderr


def test_a_file_that_was_stopped_goes_on_under_its_own_ref_and_says_what_was_spared(
    run, file, store
):
    begin(store, ref_for(file), DATA[:100_000])
    done = run("ingest", file)
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert "resumed, 100000 bytes are there already and need not be read again" in done.stderr


def test_a_ref_of_ones_own_is_resumed_after_a_comparison(run, file, store):
    begin(store, "mine", DATA[:100_000])
    done = run("ingest", file, "--ref", "mine")
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert "resumed, 100000 bytes are there already and are the same" in done.stderr


def test_a_ref_that_holds_something_else_starts_over(run, file, store):
    begin(store, "mine", b"something else")
    done = run("ingest", file, "--ref", "mine")
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert "resumed" not in done.stderr


def test_a_stream_of_a_known_digest_is_found_again_under_a_ref_made_of_it(start, store):
    refused = start("ingest", "--expected-digest", DIGEST, stdin=subprocess.PIPE)
    refused.communicate(DATA[:5])
    assert refused.returncode == 5
    assert refs_in(store) == [f"stream-{DIGEST}"]
    again = start("ingest", "--expected-digest", DIGEST, stdin=subprocess.PIPE)
    assert again.communicate(DATA)[0].decode() == f"{DIGEST}\n"
    assert refs_in(store) == []


def test_two_streams_without_a_name_do_not_meet(run, store):
    for part in (b"one", b"two"):
        assert run("ingest", "--keep-open", stdin=part).stdout == "3\n"
    assert len(refs_in(store)) == 2


def test_wrong_bytes_are_refused_and_kept_and_the_way_out_is_told(run, store):
    wrong = run("ingest", "--ref", "a b", "--expected-digest", DIGEST, stdin=b"others")
    assert (wrong.exit_code, wrong.stdout) == (5, "")
    assert f"lading: unexpected commit digest {Digest.of(b'others')}" in wrong.stderr
    assert "abort it with: lading abort -- 'a b'" in wrong.stderr
    assert store.ingest("a b").offset == 6


@pytest.mark.parametrize("size", [5, 7])
def test_a_wrong_size_is_refused(run, store, size):
    wrong = run("ingest", "--ref", "r", "--expected-size", str(size), stdin=b"sixsix")
    assert (wrong.exit_code, wrong.stdout) == (5, "")
    assert "unexpected commit size" in wrong.stderr
    assert digests_in(store) == []


def test_the_right_size_and_digest_are_accepted(run, file):
    done = run("ingest", file, "--expected-size", "300000", "--expected-digest", DIGEST)
    assert done.exit_code == 0


def test_a_ref_that_was_begun_for_something_else_is_a_failure(run, store):
    with store.writer("r", total=10) as writer:
        writer.write(b"x")
    other = run("ingest", "--ref", "r", "--expected-size", "11", stdin=b"sixsix")
    assert other.exit_code == 1
    assert "abort it to start over, or use another ref" in other.stderr
    assert store.ingest("r").offset == 1


def test_parts_are_added_and_then_committed_together(run, store):
    first = run("ingest", "--ref", "r", "--keep-open", stdin=b"hello, ")
    assert (first.exit_code, first.stdout) == (0, "7\n")
    assert store.ingest("r").offset == 7
    last = run("ingest", "--ref", "r", "--append", stdin=b"world")
    assert (last.exit_code, last.stdout) == (0, f"{Digest.of(b'hello, world')}\n")
    assert "adding to the 7 bytes that are there" in last.stderr
    assert refs_in(store) == []


def test_an_ingest_is_committed_as_it_is_by_adding_nothing(run, store):
    begin(store, "r", b"whole")
    assert run("ingest", "--ref", "r", "--append").stdout == f"{Digest.of(b'whole')}\n"


def test_adding_needs_to_know_what_to_add_to(run):
    done = run("ingest", "--append", stdin=b"x")
    assert done.exit_code == 2
    assert "--append needs the --ref to add to" in done.stderr


def test_a_held_ref_is_exit_6_and_says_who_holds_it(run, store):
    with store.writer("r"):
        done = run("ingest", "--ref", "r", stdin=b"x")
        waited = run("ingest", "--ref", "r", "--wait", "1ms", stdin=b"x")
    assert done.exit_code == waited.exit_code == 6
    assert f"process {os.getpid()}" in done.stderr
    assert "--wait 5m waits" in done.stderr


def test_a_held_ref_is_waited_for(start, store):
    with store.writer("r") as writer:
        writer.write(b"some")
        impatient = start("ingest", "--ref", "r", stdin=subprocess.PIPE)
        impatient.communicate(b"thing")
        patient = start("ingest", "--ref", "r", "--append", "--wait", "5m", stdin=subprocess.PIPE)
        patient.stdin.write(b"thing")
    assert patient.communicate()[0].decode() == f"{Digest.of(b'something')}\n"
    assert impatient.returncode == 6


def test_events_name_the_ref_that_nobody_chose(run, store):
    done = run("ingest", "--keep-open", "--progress", "jsonl", stdin=b"x")
    assert [json.loads(done.stderr.splitlines()[-1])["ref"]] == refs_in(store)


def test_a_file_that_is_not_there_is_a_failure_and_makes_nothing(run, tmp_path, root):
    done = run("ingest", tmp_path / "nothing.here")
    assert done.exit_code == 1
    assert done.stderr == f"lading: {tmp_path / 'nothing.here'}: No such file or directory\n"
    assert not root.exists()


def test_a_folder_is_a_failure(run, tmp_path):
    done = run("ingest", tmp_path)
    assert done.exit_code == 1
    assert "Is a directory" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--expected-digest", "sha256:abc"),
        ("--expected-size", "-1"),
        ("--expected-size", "many"),
        ("--ref", ""),
        ("--wait", "30"),
        ("--wait", "soon"),
        ("--progress", "loud"),
    ],
)
def test_a_value_that_cannot_be_is_wrong_usage_and_stores_nothing(run, root, option, value):
    done = run("ingest", option, value, stdin=b"x")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"lading: {option}: ")
    assert done.stderr.count("\n") == 1
    assert not root.exists()


def test_a_file_that_changes_while_it_is_read_is_told(run, file, store, monkeypatch):
    monkeypatch.setattr(Source, "has_changed", property(lambda source: True))
    done = run("ingest", file)
    assert (done.exit_code, done.stdout) == (1, f"{DIGEST}\n")
    assert "changed while it was read" in done.stderr


def test_the_identity_of_a_file_is_seen_to_change(file):
    found = file.stat()
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    source = Source(str(file), str(file), "r", identity)
    assert not source.has_changed
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert source.has_changed
    assert not Source("-", io.BytesIO(), "r").has_changed


def test_a_file_that_is_deleted_while_it_is_read_was_not_changed(file):
    source = Source(str(file), str(file), "r", (0, 0, 0, 0))
    assert source.has_changed
    file.unlink()
    assert not source.has_changed


def test_a_source_that_fails_is_told_with_what_is_kept(start, store):
    # To read on at one end of a terminal whose other end is closed is an error, not the end.
    ours, theirs = pty.openpty()
    os.write(theirs, b"12345")
    os.close(theirs)
    process = start("ingest", "-", "--ref", "r", stdin=ours)
    os.close(ours)
    stderr = process.communicate()[1].decode()
    assert process.returncode == 1
    assert stderr == (
        "lading: standard input: Input/output error; ref 'r' is kept at offset 5; "
        "feed the same bytes again to: lading ingest --ref r\n"
    )
    assert store.ingest("r").offset == 5


def test_a_full_disk_is_worth_trying_again_and_the_command_is_told(run, store, monkeypatch):
    def fill(store, ref, source, **settings):
        begin(store, ref, b"12345")
        raise ResourceExhausted(ref, 5, 10)

    monkeypatch.setattr(transfer, "ingest", fill)
    done = run("ingest", "--ref", "r", "--expected-size", "15", stdin=b"x")
    assert done.exit_code == 7
    assert "no space left for 10 bytes more" in done.stderr
    assert done.stderr.endswith("again to: lading ingest --ref r --expected-size 15\n")


def test_a_named_pipe_is_read_as_a_stream(start, tmp_path, store):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("ingest", pipe, "--ref", "r")
    pipe.write_bytes(DATA)
    assert process.communicate()[0].decode() == f"{DIGEST}\n"
    assert process.returncode == 0
    assert store.read(DIGEST) == DATA


def test_a_file_on_stdin_is_resumed_from_its_middle(start, file, store):
    begin(store, "r", DATA[:100_000])
    with file.open("rb") as stdin:
        process = start("ingest", "--ref", "r", "--progress", "jsonl", stdin=stdin)
        stdout, stderr = process.communicate()
    assert stdout.decode() == f"{DIGEST}\n"
    assert json.loads(stderr.splitlines()[0])["offset"] == 100_000


def test_what_was_read_from_stdin_before_is_no_part_of_it(start, file, store):
    with file.open("rb") as stdin:
        os.lseek(stdin.fileno(), 100, os.SEEK_SET)
        stdout, _ = start("ingest", stdin=stdin).communicate()
    assert stdout.decode() == f"{Digest.of(DATA[100:])}\n"


def test_a_stdin_that_does_not_block_is_waited_for(start, store):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = start("ingest", "--ref", "r", "--progress", "jsonl", stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "wb") as feed:
        assert json.loads(process.stderr.readline())["event"] == "begin"
        feed.write(DATA)
    assert process.communicate()[0].decode() == f"{DIGEST}\n"


def test_a_stdin_that_is_closed_is_told(start):
    _, stderr = start("ingest", stdin=None, preexec_fn=lambda: os.close(0)).communicate()
    assert b"standard input is closed; name a FILE" in stderr
