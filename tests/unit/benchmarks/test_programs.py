"""A run leaves no program behind, whenever it is interrupted."""

import signal
import sys

import pytest
from benchmarks import programs

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_program_is_killed_when_its_block_ends_early():
    with pytest.raises(KeyError), programs.started(SLEEPER) as program:
        raise KeyError
    assert program.returncode == -signal.SIGKILL


def test_a_signal_during_a_start_ends_the_run_behind_it(monkeypatch):
    monkeypatch.setattr(programs._Signals, "came", False)
    monkeypatch.setattr(programs._Signals, "held_back", True)
    programs.interrupt(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt), programs.started(SLEEPER):
        pytest.fail("the block was entered")


def test_a_signal_at_any_other_time_ends_the_run_at_once_and_a_second_one_waits(monkeypatch):
    monkeypatch.setattr(programs._Signals, "came", False)
    with pytest.raises(KeyboardInterrupt):
        programs.interrupt(signal.SIGTERM, None)
    programs.interrupt(signal.SIGTERM, None)


def test_a_program_that_ends_otherwise_than_expected_is_an_error():
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    assert programs.output_of(command, ends_with=3) == b""
    with pytest.raises(programs.subprocess.CalledProcessError, match="exit status 3"):
        programs.output_of(command)
