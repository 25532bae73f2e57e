"""Digest: the name of a blob, computed from its bytes."""

import re
from collections.abc import Callable
from typing import Self

from lading.errors import InvalidDigest

HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
ALGORITHMS = tuple(HEX_LENGTHS)
_HEX = re.compile(r"[0-9a-f]+")

Data = bytes | bytearray | memoryview
"""What a caller may hand over as bytes. Nothing of it is kept after the call."""


def bytes_of(data: Data) -> memoryview:
    """The bytes of `data`, one after another; copied only where they do not lie so."""
    view = memoryview(data)
    # What is empty in two dimensions cannot be cast.
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(bytes(view))


def is_hex_of(algorithm: str, text: str) -> bool:
    """Whether `text` can follow `algorithm:` in a digest."""
    return len(text) == HEX_LENGTHS.get(algorithm) and _HEX.fullmatch(text) is not None


class Digest(str):
    """`algorithm:hex`, in lower case, always valid: a bad one cannot be made.

    A digest is its own text, so it sorts, hashes, prints and serialises as one. Source: OCI
    image-spec 1.1, descriptor, "Digests".
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take a text that is a digest, or raise `InvalidDigest`."""
        algorithm, _, hex_part = text.partition(":")
        # As `is_hex_of` has it: every call of the daemon comes through here.
        if len(hex_part) != HEX_LENGTHS.get(algorithm) or _HEX.fullmatch(hex_part) is None:
            raise InvalidDigest(text)
        return str.__new__(cls, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a digest as people and manifests write it, or raise `InvalidDigest`."""
        return cls(text)

    @classmethod
    def of(cls, data: Data, algorithm: str = "sha256") -> Self:
        """Compute the digest of bytes that are at hand."""
        if algorithm not in HEX_LENGTHS:
            raise InvalidDigest(f"{algorithm}:")
        import hashlib  # noqa: PLC0415 - costs milliseconds that `--help` and `ls` can spare

        make = getattr(hashlib, algorithm)  # `new` takes twice as long to come to the same
        return str.__new__(cls, f"{algorithm}:{make(bytes_of(data)).hexdigest()}")

    @classmethod
    def known_good(cls, algorithm: str, hex_part: str) -> Self:
        """Make a digest of parts that are known to be right, without looking at them again."""
        return str.__new__(cls, f"{algorithm}:{hex_part}")

    @classmethod
    def trusted(cls, text: str) -> Self:
        """Take a text that was a digest when we wrote it down, without looking at it again."""
        return str.__new__(cls, text)

    @staticmethod
    def reader(algorithm: str) -> "Callable[[str], Digest | None]":
        """Make a function that makes a digest of its hex part, or None of any other text.

        For long listings, where `known_good` and a regular expression are a third of the time.
        """
        length, prefix = HEX_LENGTHS[algorithm], f"{algorithm}:"
        from_hex, new = bytes.fromhex, str.__new__

        def read(text: str) -> Digest | None:
            try:
                # There and back: `fromhex` takes capitals and spaces, which would not come back.
                if len(text) == length and from_hex(text).hex() == text:
                    return new(Digest, prefix + text)
            except ValueError:
                pass
            return None

        return read

    @property
    def algorithm(self) -> str:
        """One of `ALGORITHMS`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hash alone."""
        return self.partition(":")[2]
