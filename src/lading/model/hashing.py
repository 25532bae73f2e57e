"""Hashers whose state can be written down and taken up again, so that resuming costs the tail.

Python's `hashlib` cannot export a state. The libcrypto that it is linked with can: the SHA-2
context of OpenSSL (1.1 to 4) is a plain struct, found here through the handle of `_hashlib`. What
is saved is not that struct but what FIPS 180-4 calls the intermediate hash value, in a form of our
own that any implementation could read:

    8 words, big-endian (4 bytes each for sha256, 8 for sha384 and sha512)
    the bytes since the last whole block (64, or 128)

The number of bytes hashed is kept beside it by whoever saves it, and is checked on the way
back. Where no such libcrypto is to be had, or it does not pass a known-answer test when
loaded, `save` gives None and the bytes have to be hashed again: slower, never wrong.
"""

import hashlib
import struct
from functools import cache
from typing import Any, NamedTuple, Protocol

from lading.model.digest import ALGORITHMS, Data, Digest


class Hasher(Protocol):
    """A running hash. Not for two threads at once; `update` lets other threads run."""

    @property
    def algorithm(self) -> str: ...

    def update(self, data: Data, /) -> None:
        """Hash some bytes more."""

    def digest(self) -> Digest:
        """The digest so far. The hasher can go on."""

    def save(self) -> bytes | None:
        """The state so far, for `restored`; None where it cannot be had."""


class _Plain:
    """`hashlib`, for when nothing can export a state."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm)

    def update(self, data: Data, /) -> None:
        self._hash.update(data)

    def digest(self) -> Digest:
        return Digest.known_good(self.algorithm, self._hash.hexdigest())

    def save(self) -> bytes | None:
        return None


class _Layout(NamedTuple):
    """Where OpenSSL's struct keeps what: SHA256_CTX, and SHA512_CTX for both long ones."""

    name: str
    words: str  # of the intermediate hash value and of the count of bits, in native order
    size: int
    pending: int  # offset of the bytes since the last whole block
    block: int
    number: int  # offset of how many those are
    hash_size: int

    @property
    def word(self) -> str:
        return self.words[-1]


_LAYOUTS = {
    "sha256": _Layout("SHA256", "=10I", 112, 40, 64, 104, 32),
    "sha384": _Layout("SHA384", "=10Q", 216, 80, 128, 208, 48),
    "sha512": _Layout("SHA512", "=10Q", 216, 80, 128, 208, 64),
}


class _Exporting:
    """A hasher over libcrypto's own context, whose bytes we can see."""

    def __init__(self, crypto: Any, algorithm: str) -> None:
        import ctypes  # noqa: PLC0415 - costs milliseconds that only a writer should pay

        self.algorithm = algorithm
        self._layout = layout = _LAYOUTS[algorithm]
        self._context = ctypes.create_string_buffer(layout.size)
        self._array = ctypes.c_char.from_buffer
        self._address = ctypes.byref
        self._update = getattr(crypto, f"{layout.name}_Update")
        self._final = getattr(crypto, f"{layout.name}_Final")
        self._sized = ctypes.c_size_t
        self._new = ctypes.create_string_buffer
        self._known: Digest | None = None  # of the bytes so far, once somebody has asked
        getattr(crypto, f"{layout.name}_Init")(self._context)

    def update(self, data: Data, /) -> None:
        self._known = None
        if isinstance(data, bytes):
            self._update(self._context, data, self._sized(len(data)))
            return
        view = memoryview(data).cast("B")
        if view.readonly or not view.contiguous:
            self.update(bytes(view))
        elif view.nbytes:
            self._update(self._context, self._address(self._array(view)), self._sized(view.nbytes))

    def digest(self) -> Digest:
        if self._known is not None:
            return self._known
        # Finishing spoils a context, so a copy of it is finished.
        copy = self._new(self._context.raw, self._layout.size)
        out = self._new(self._layout.hash_size)
        self._final(out, copy)
        self._known = Digest.known_good(self.algorithm, out.raw.hex())
        return self._known

    def save(self) -> bytes | None:
        layout, raw = self._layout, self._context.raw
        *hash_value, _, _ = struct.unpack_from(layout.words, raw)
        (number,) = struct.unpack_from("=I", raw, layout.number)
        pending = raw[layout.pending : layout.pending + number]
        return struct.pack(f">8{layout.word}", *hash_value) + pending

    def restore(self, state: bytes, count: int) -> bool:
        layout = self._layout
        fixed = struct.calcsize(f">8{layout.word}")
        pending = state[fixed:]
        if len(state) < fixed or len(pending) != count % layout.block:
            return False
        raw = bytearray(self._context.raw)  # freshly initialised: the rest of it is right
        low_bits = 8 * struct.calcsize(f"={layout.word}")
        bits = count * 8
        hash_value = struct.unpack_from(f">8{layout.word}", state)
        struct.pack_into(
            layout.words, raw, 0, *hash_value, bits & ((1 << low_bits) - 1), bits >> low_bits
        )
        raw[layout.pending : layout.pending + len(pending)] = pending
        struct.pack_into("=I", raw, layout.number, len(pending))
        self._context.raw = bytes(raw)
        self._known = None
        return True


def hasher(algorithm: str) -> Hasher:
    """Begin a hash; the best kind that this Python can have."""
    crypto, _ = _libcrypto()
    return _Plain(algorithm) if crypto is None else _Exporting(crypto, algorithm)


def restored(algorithm: str, state: bytes, count: int) -> Hasher | None:
    """Take up a saved hash of `count` bytes, or None if that cannot be done."""
    crypto, _ = _libcrypto()
    if crypto is None or algorithm not in _LAYOUTS:
        return None
    taken_up = _Exporting(crypto, algorithm)
    return taken_up if taken_up.restore(state, count) else None


def why_not_saved() -> str | None:
    """Why hash states cannot be saved here, or None if they can."""
    return _libcrypto()[1]


@cache
def _libcrypto() -> tuple[Any, str | None]:
    """Find the libcrypto under `hashlib`, and see that it does what we think it does."""
    try:
        import _hashlib  # noqa: PLC0415 - absent from a Python without OpenSSL
        import ctypes  # noqa: PLC0415 - costs milliseconds that only a writer should pay

        # A handle finds the symbols of what it is linked with, too: the very libcrypto that
        # `hashlib` uses, wherever it lies. None (the program itself) is for static builds.
        crypto = ctypes.CDLL(getattr(_hashlib, "__file__", None))
        for layout in _LAYOUTS.values():
            for step, arguments in (
                ("Init", [ctypes.c_void_p]),
                ("Update", [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]),
                ("Final", [ctypes.c_void_p, ctypes.c_void_p]),
            ):
                getattr(crypto, f"{layout.name}_{step}").argtypes = arguments
        right = all(_answers_are_right(crypto, algorithm) for algorithm in ALGORITHMS)
    except (ImportError, OSError, AttributeError) as error:
        return None, f"no libcrypto with SHA-2 contexts under hashlib ({error})"
    return (crypto, None) if right else (None, "libcrypto's SHA-2 context is not the known one")


def _answers_are_right(crypto: Any, algorithm: str) -> bool:
    """Save in the middle of a block, take it up, finish, and compare with `hashlib`."""
    text = bytes(range(251)) * 3
    first = _Exporting(crypto, algorithm)
    first.update(text[:333])
    state = first.save()
    second = _Exporting(crypto, algorithm)
    if state is None or not second.restore(state, 333):
        return False
    second.update(text[333:])
    first.update(text[333:])
    return first.digest() == second.digest() == Digest.of(text, algorithm)
