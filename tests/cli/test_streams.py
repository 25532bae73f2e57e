"""Terminals, closed pipes, odd locales and names that are no text."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lading import Digest
from tests.cli.conftest import COMMAND
from tests.conformance.samples import begin, sample

DATA = sample(200_000)


@pytest.fixture
def terminal(start):
    """Run a command whose stdout, stderr and, unless it is given, stdin are one terminal."""

    def run(*arguments, **settings):
        ours, theirs = pty.openpty()
        process = start(
            *arguments, **{"stdin": theirs, "stdout": theirs, "stderr": theirs} | settings
        )
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        return process.wait(), shown.decode()

    return run


@pytest.fixture
def xterm(environment):
    return environment | {"TERM": "xterm", "COLUMNS": "70"}


def test_on_a_terminal_there_is_a_bar_that_goes_away(terminal, xterm, tmp_path):
    (tmp_path / "layer").write_bytes(DATA)
    code, shown = terminal("ingest", "layer", env=xterm)
    assert code == 0
    assert "ingest layer    0%" in shown
    assert shown.count("\r\x1b[K") == 1
    assert shown.endswith(f" s)\r\n{Digest.of(DATA)}\r\n")


@pytest.mark.parametrize("change", [{"TERM": "dumb"}, {"TERM": ""}])
def test_on_a_terminal_that_can_do_nothing_there_are_lines(terminal, xterm, tmp_path, change):
    (tmp_path / "layer").write_bytes(DATA)
    code, shown = terminal("ingest", "layer", env=xterm | change)
    assert code == 0
    assert "\x1b" not in shown
    assert shown.startswith(f"stored {Digest.of(DATA)} (200 kB in ")


@pytest.mark.parametrize("change", [{"NO_COLOR": "1"}, {"COLUMNS": "5"}, {"COLUMNS": "many"}])
def test_no_setting_of_a_terminal_stops_the_work(terminal, xterm, tmp_path, change):
    (tmp_path / "layer").write_bytes(DATA)
    code, shown = terminal("ingest", "layer", env=xterm | change)
    assert code == 0
    assert Digest.of(DATA) in shown
    # There is no colour to be turned off.
    assert "\x1b[3" not in shown


def test_nothing_is_read_from_a_terminal_unless_it_was_asked_for(terminal, xterm):
    code, shown = terminal("ingest", env=xterm)
    assert code == 2
    assert "name a FILE, or - to read what is typed here" in shown


TEXTS = [b'{"layers": []}\n', "größe 漢字\n\t".encode(), b"", "ä".encode() * 600_000]
BINARIES = [
    b"\x7fELF\x02",
    b"nul\x00",
    b"\x1b[2J",
    b"\x9b31m",
    "\u009b31m".encode(),
    "half an ä".encode()[:-1] + b"\xff",
    b"x" * 2_000_000 + b"\x1b",
]


@pytest.mark.parametrize("data", TEXTS, ids=len)
def test_a_text_is_shown_on_a_terminal(terminal, xterm, store, data):
    code, shown = terminal("get", store.add(data).digest, env=xterm)
    # The terminal makes a line end of its own of each line feed.
    assert (code, shown) == (0, data.decode().replace("\n", "\r\n"))


@pytest.mark.parametrize("data", BINARIES, ids=len)
def test_bytes_that_could_steer_a_terminal_are_not_shown_on_it(terminal, xterm, store, data):
    code, shown = terminal("get", store.add(data).digest, env=xterm)
    assert code == 2
    assert "name a file with -o FILE, or write it there all the same with -o -" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_a_text_that_breaks_off_in_a_letter_is_a_text(terminal, xterm, store):
    code, shown = terminal("get", store.add(b"text").digest, "--size", "2", env=xterm)
    assert (code, shown) == (0, "te")


def test_any_bytes_are_written_to_a_terminal_for_whoever_insists(terminal, xterm, store):
    code, shown = terminal("get", store.add(b"a\x1b[1mb").digest, "-o", "-", env=xterm)
    assert (code, shown) == (0, "a\x1b[1mb")


def test_a_pipe_that_is_closed_ends_a_listing_quietly(start, store):
    with store.batch() as batch:
        for number in range(2000):
            batch.add(b"%d" % number)
    process = start("ls")
    assert process.stdout.read(6) == b"DIGEST"
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""


def test_a_pipe_that_is_closed_ends_a_get_quietly(start, store):
    process = start("get", store.add(DATA).digest)
    assert process.stdout.read(10) == DATA[:10]
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""


def test_a_pipe_that_is_closed_from_the_start_is_noticed_for_a_single_line(start, store):
    reading, writing = os.pipe()
    os.close(reading)
    process = start("ls", stdout=writing)
    os.close(writing)
    assert process.wait() == 141
    assert process.stderr.read() == b""


def test_a_stderr_that_is_closed_does_not_stop_an_ingest(start, store, tmp_path):
    (tmp_path / "layer").write_bytes(DATA)
    reading, writing = os.pipe()
    os.close(reading)
    process = start("ingest", "layer", "--progress", "jsonl", stderr=writing)
    os.close(writing)
    assert process.communicate()[0].decode() == f"{Digest.of(DATA)}\n"
    assert process.returncode == 0
    assert store.read(Digest.of(DATA)) == DATA


def closing(*files):
    def close():
        for file in files:
            os.close(file)

    return close


def test_a_stderr_that_does_not_exist_does_not_stop_an_ingest(start, store, tmp_path):
    (tmp_path / "layer").write_bytes(DATA)
    process = start("ingest", "layer", stderr=None, preexec_fn=closing(2))
    assert process.communicate()[0].decode() == f"{Digest.of(DATA)}\n"


def test_a_stdout_that_does_not_exist_is_told_before_anything_is_done(start, root, tmp_path):
    (tmp_path / "layer").write_bytes(DATA)
    process = start("ingest", "layer", stdout=None, preexec_fn=closing(1))
    assert process.communicate()[1].startswith(b"lading: standard output is closed")
    assert process.returncode == 1
    assert not root.exists()


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="there is no full device here")
@pytest.mark.parametrize("verb", ["ls", "get"])
def test_a_stdout_that_is_full_is_worth_trying_again(start, store, verb):
    digest = store.add(DATA).digest
    with Path("/dev/full").open("wb") as full:
        process = start(verb, *([digest] if verb == "get" else []), stdout=full)
        assert process.wait() == 7
    assert process.stderr.read() == b"lading: standard output: No space left on device\n"


LOCALES = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1:strict"},
]


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_every_ref_can_be_listed_in_any_locale(start, environment, store, locale):
    begin(store, "größe-漢字-\U0001f6a2", b"x")
    for words in (["active"], ["active", "--json"], ["info", "--store"], ["--help"]):
        process = start(*words, env=environment | locale)
        assert process.communicate()[1] == b""
        assert process.returncode == 0


@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_a_file_name_that_is_no_text_can_be_ingested_and_gotten(
    start, environment, tmp_path, locale
):
    name = b"layer \xff\xfe \x1b"
    (tmp_path / os.fsdecode(name)).write_bytes(DATA)
    words = [[b"ingest", name], [b"get", b"-o", name + b"2", Digest.of(DATA).encode()]]
    for line in words:
        process = start(*line, env=environment | locale)
        stderr = process.communicate()[1]
        assert process.returncode == 0, stderr
        assert b"\x1b" not in stderr
    assert (tmp_path / os.fsdecode(name + b"2")).read_bytes() == DATA


def test_a_file_name_that_is_no_text_can_be_missing(start):
    stderr = start("ingest", b"no \xff\x1b file").communicate()[1]
    assert stderr == b"lading: no \\udcff\\x1b file: No such file or directory\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([b"get", b"sha256:\xff"], 2),
        ([b"abort", b"\xff"], 2),
        ([b"info", b"\xff"], 2),
        ([b"ingest", b"--ref", b"\xff"], 2),
        ([b"\xff"], 2),
        ([b"ls", b"--\xff"], 2),
        ([b"ls", b"digest==\xff"], 2),
        ([b"--root", b"\xff", b"ls"], 0),
    ],
)
def test_arguments_that_are_no_text_are_answered_in_one_line(start, words, code):
    process = start(*words)
    stdout, stderr = process.communicate()
    assert process.returncode == code, stderr
    assert stderr.count(b"\n") == (code != 0)
    assert b"Traceback" not in stdout + stderr


def test_the_command_is_quiet_about_nothing(environment):
    """Warnings are errors here too, in the process that people start."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *COMMAND[1:], "ls"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"DIGEST SIZE AGE\n", b"")
