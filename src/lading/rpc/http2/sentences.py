"""How a status's sentence travels: as grpc-message, in printable ASCII."""

from typing import Final

_PLAIN: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}


def percent_encoded(sentence: str) -> bytes:
    """A sentence as it travels: three bytes for each byte of it that is not printable ASCII."""
    if sentence.isascii() and sentence.isprintable() and "%" not in sentence:
        return sentence.encode()
    return b"".join(
        bytes((byte,)) if byte in _PLAIN else b"%%%02X" % byte
        for byte in sentence.encode(errors="backslashreplace")
    )
