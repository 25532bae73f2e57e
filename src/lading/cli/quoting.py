"""Texts from outside, made safe to show: no ref, label or file name may steer a terminal."""

import os
from collections.abc import Iterable


def escaped(text: str) -> str:
    r"""Show what does not print as an escape: `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def command_line(words: Iterable[str]) -> str:
    """Write words so that a shell reads exactly them, and a terminal obeys none of them."""
    return " ".join(_shell_word(word) for word in words)


def _shell_word(word: str) -> str:
    from shlex import quote  # noqa: PLC0415 - for those who have to type a command again

    if word.isprintable():
        return quote(word)
    plain = (chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(word))
    return f"$'{''.join(plain)}'"


_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b"'\\")
