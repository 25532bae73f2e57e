"""Texts from outside, on a terminal and in a shell."""

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli.quoting import command_line, escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe 漢字", "größe 漢字"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u202eevil", r"\u202eevil"),
        ("\x9b", r"\x9b"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_does_not_print_is_shown_as_an_escape(text, shown):
    assert escaped(text) == shown


@given(st.text())
def test_everything_shown_is_printable(text):
    assert escaped(text).isprintable()


NASTY = [
    b"plain",
    b"two words",
    b"it's",
    b"$HOME `id` \\",
    b"\x1b[31m'\\\n",
    b"not \xff utf-8",
    "größe".encode(),
    b"-o",
    b"",
]


def test_a_shell_reads_back_exactly_the_words():
    line = command_line(os.fsdecode(word) for word in NASTY)
    assert line.isprintable()
    script = f"printf '%s\\0' {line}"
    shell = ["bash", "--norc", "-c", script]
    output = subprocess.run(shell, capture_output=True, check=True).stdout
    assert output.split(b"\0")[:-1] == NASTY
