"""Real processes that are stopped in the middle of their work, and what they leave behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lading import Digest
from lading.cli.outcome import Interrupted
from lading.cli.process import _interrupt
from lading.cli.progress import Progress
from lading.cli.resumption import Resumption
from lading.cli.session import Session
from lading.cli.source import Source
from tests.cli.conftest import COMMAND
from tests.conformance.samples import begin, refs_in, sample

DATA = sample(4_000_000)
DIGEST = Digest.of(DATA)
SENT = 3_000_000


class Stuck:
    """A stderr that is full: who writes to it stands still until `last_line` takes it away.

    A file cannot be made slow. But a process that tells its progress here gets no further than
    its first word, and a signal finds it in the middle of its work.
    """

    def __init__(self):
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"x" * 4096)
        os.set_blocking(self.writing, True)

    def last_line(self):
        """Take everything up to the end of the process."""
        os.close(self.writing)
        self.writing = -1
        with open(self.reading, "rb", closefd=False) as stream:
            return stream.read().decode().lstrip("x").splitlines()[-1]


@pytest.fixture
def stuck():
    stuck = Stuck()
    yield stuck
    for file in (stuck.reading, stuck.writing):
        with contextlib.suppress(OSError):
            os.close(file)


@pytest.fixture
def feed(start):
    """Start an ingest from a pipe, and feed it until most of what was sent has been stored."""

    def begin(*arguments, **settings):
        process = start(
            "ingest", *arguments, "--progress", "jsonl", stdin=subprocess.PIPE, **settings
        )
        # When this returns, all but what a pipe holds has been taken; and what was taken
        # before the last read has been written.
        process.stdin.write(DATA[:SENT])
        return process

    return begin


def stop(process, number):
    process.send_signal(number)
    stderr = process.stderr.read().decode()
    process.wait()
    (sentence,) = (line for line in stderr.splitlines() if line.startswith("lading: "))
    return sentence


def command_in(sentence):
    """The command line that the sentence tells people to type, as a script."""
    found = re.search(r"(?:with|to): (.*)$", sentence)[1]
    return f'lading() {{ {COMMAND[0]} -m lading.cli "$@"; }}\n{found}'


def shell(script, environment, **settings):
    return subprocess.run(
        ["bash", "--norc", "-c", script],  # noqa: S607 - whichever bash the user has
        env=environment,
        capture_output=True,
        check=True,
        **settings,
    ).stdout.decode()


@pytest.mark.parametrize(
    "ending",
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_stopped_ingest_is_kept_and_says_how_to_go_on_and_that_works(
    feed, store, environment, ending
):
    number, code, word = ending
    process = feed("--ref", "a layer")
    sentence = stop(process, number)
    assert process.returncode == code
    offset = store.ingest("a layer").offset
    assert 0 < offset <= SENT
    assert sentence.startswith(f"lading: {word}; ref 'a layer' is kept at offset {offset}; ")
    assert "feed the same bytes again to: lading ingest --ref 'a layer'" in sentence
    assert shell(command_in(sentence), environment, input=DATA) == f"{DIGEST}\n"
    assert store.read(DIGEST) == DATA
    assert refs_in(store) == []


def test_a_stopped_stream_without_a_name_gets_one_that_is_told(feed, store, environment):
    sentence = stop(feed(), signal.SIGINT)
    (ref,) = refs_in(store)
    assert f"--ref {ref}" in sentence
    assert shell(command_in(sentence), environment, input=DATA) == f"{DIGEST}\n"
    assert refs_in(store) == []


def test_a_stopped_file_goes_on_where_it_was(start, store, tmp_path, environment, stuck):
    (tmp_path / "it's a layer").write_bytes(DATA)
    words = ["ingest", "it's a layer", "--root", store.root, "--progress", "jsonl"]
    process = start(*words, stderr=stuck.writing)
    while not refs_in(store):
        pass
    process.send_signal(signal.SIGINT)
    sentence = stuck.last_line()
    assert process.wait() == 130
    command = f"""lading --root {store.root} ingest 'it'"'"'s a layer'"""
    assert sentence.startswith("lading: interrupted; ref 'file-")
    assert sentence.endswith(f"is kept at offset 0; go on with: {command}")
    assert shell(command_in(sentence), environment, cwd=tmp_path) == f"{DIGEST}\n"
    assert refs_in(store) == []


def test_what_was_added_by_a_stopped_run_is_not_added_twice(feed, start, store):
    with store.writer("r") as writer:
        writer.write(b"before ")
    sentence = stop(feed("--ref", "r", "--keep-open"), signal.SIGINT)
    added = int(re.search(r"(\d+) bytes of the input are in it, feed the rest to: ", sentence)[1])
    assert store.ingest("r").offset == len(b"before ") + added
    again = sentence.rpartition("to: lading ")[2].split()
    assert again == ["ingest", "--ref", "r", "--keep-open"]
    rest = start("ingest", "--ref", "r", "--append", stdin=subprocess.PIPE)
    assert rest.communicate(DATA[added:])[0].decode() == f"{Digest.of(b'before ' + DATA)}\n"


def test_a_file_that_was_being_added_is_added_from_where_it_was(store, tmp_path, environment):
    file = tmp_path / "it's a layer"
    file.write_bytes(b"hello, world")
    begin(store, "r", b"before hello")
    report = Progress("ingest", "layer", None)
    report(len("before "))
    session = Session()
    session.given["root"] = str(store.root)
    source = Source(str(file), str(file), "other", identity=(1,))
    told = Resumption(session, store, source, "r", ("--append",), True, report).kept()  # noqa: FBT003 - a field
    assert told.startswith("ref 'r' is kept at offset 12; go on with: tail -c +6 -- ")
    whole = Digest.of(b"before hello, world")
    assert shell(command_in(told), environment) == f"{whole}\n"


def test_a_killed_ingest_is_taken_up_again(feed, start, store):
    process = feed("--ref", "r")
    process.kill()
    process.wait()
    offset = store.ingest("r").offset
    assert 0 < offset <= SENT
    again = start("ingest", "--ref", "r", stdin=subprocess.PIPE)
    assert again.communicate(DATA)[0].decode() == f"{DIGEST}\n"


def test_a_killed_ingest_goes_on_in_a_file_of_the_same_bytes(feed, start, store, tmp_path):
    process = feed("--ref", "r")
    process.kill()
    process.wait()
    (tmp_path / "layer").write_bytes(DATA)
    again = start("ingest", "layer", "--ref", "r", "--progress", "jsonl")
    stdout, stderr = again.communicate()
    assert stdout.decode() == f"{DIGEST}\n"
    assert 0 < json.loads(stderr.splitlines()[0])["offset"] <= SENT


def test_a_second_signal_does_not_wait(start, stuck):
    words = ["ingest", "--ref", "r", "--progress", "none"]
    process = start(*words, stdin=subprocess.PIPE, stderr=stuck.writing)
    process.stdin.write(DATA[:SENT])
    # The answer to the first one is a sentence that nobody takes, so it never comes to its end.
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGINT


def test_the_second_signal_is_the_systems():
    left = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(Interrupted) as interruption:
            _interrupt(signal.SIGTERM, None)
        assert interruption.value.number == signal.SIGTERM
        assert {signal.getsignal(number) for number in left} == {signal.SIG_DFL}
    finally:
        for number, handler in left.items():
            signal.signal(number, handler)


def test_a_job_in_the_background_ignores_ctrl_c_as_its_shell_told_it(feed, store):
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = feed("--ref", "r", preexec_fn=ignore)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(DATA[SENT:])
    assert (process.returncode, stdout.decode()) == (0, f"{DIGEST}\n")


def test_a_stopped_get_leaves_no_file(start, store, tmp_path, stuck):
    digest = store.add(DATA).digest
    folder = tmp_path / "out"
    folder.mkdir()
    process = start("get", digest, "-o", "out/layer", "--progress", "jsonl", stderr=stuck.writing)
    wait_for_file_in(folder, process)
    process.send_signal(signal.SIGINT)
    command = f"lading get -o out/layer {digest}"
    assert stuck.last_line() == (
        f"lading: interrupted; no file was written; start over with: {command}"
    )
    assert process.wait() == 130
    assert list(folder.iterdir()) == []


def test_a_killed_get_leaves_no_file(start, store, tmp_path, stuck):
    digest = store.add(DATA).digest
    folder = tmp_path / "out"
    folder.mkdir()
    process = start("get", digest, "-o", "out/layer", "--progress", "jsonl", stderr=stuck.writing)
    wait_for_file_in(folder, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(folder.iterdir()) == []


def wait_for_file_in(folder, process):
    """Wait until a process has a file in a folder open, whether it has a name or not."""
    files = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            if any(folder in each.readlink().parents for each in files.iterdir()):
                return
    raise AssertionError("it ended before it opened a file")


def test_a_stopped_get_to_stdout_ends_with_a_sentence(start, store):
    digest = store.add(DATA).digest
    process = start("get", digest)
    assert process.stdout.read(1) == DATA[:1]
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait() == 143
    assert process.stderr.read().startswith(b"lading: terminated; ")


def test_an_ingest_that_has_nothing_yet_says_so(start, store):
    process = start("ingest", "--ref", "r", "--progress", "jsonl", stdin=subprocess.PIPE)
    assert json.loads(process.stderr.readline())["event"] == "begin"
    assert "ref 'r' is kept at offset 0; " in stop(process, signal.SIGINT)
    assert store.ingest("r").offset == 0
