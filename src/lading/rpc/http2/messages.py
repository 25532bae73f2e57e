"""The messages of a call: each has five bytes before it, a flag and its size."""

import struct
from typing import Final, cast

import grpc

PREFIX: Final = struct.Struct(">BI")
PREFIX_SIZE: Final = PREFIX.size
Parts = list[memoryview]
"""What has come of a call, in frames one after another."""
HEAD_OF_MESSAGE: Final = struct.Struct(">IBIBI")
"""A frame's head with the kind of DATA, 0, and the prefix of the message that is all of it."""


class Soon(bytes):
    """An answer that goes with what its handler gives next, or with its end: one trip for both."""

    __slots__ = ()


class BadMessage(Exception):
    """A message that ends its call: with this code, and this sentence."""

    def __init__(self, code: grpc.StatusCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Assembly:
    """Puts messages together out of what comes. Used by one thread at a time."""

    __slots__ = ("_limit", "_message", "_prefix", "_whole")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._prefix = b""
        self._message: bytearray | None = None
        """As much of it as has come: what a client only announces takes no memory."""
        self._whole = 0

    @property
    def is_between(self) -> bool:
        """Whether no message has begun that has not ended."""
        return self._message is None and not self._prefix

    @property
    def missing(self) -> int:
        """How many bytes the message that has begun still lacks."""
        return 0 if self._message is None else self._whole - len(self._message)

    def take(self, parts: Parts) -> list[bytes]:
        """The messages that these bytes complete; `BadMessage` for one that we do not take."""
        if len(parts) == 1:
            return self._taken(parts[0])
        whole: list[bytes] = []
        for data in parts:
            message = self._message
            if message is not None and len(message) + len(data) < self._whole:
                message += data  # as nearly all of a large message comes
            else:
                whole += self._taken(data)
        return whole

    def _taken(self, data: memoryview) -> list[bytes]:
        if self._message is None and not self._prefix and len(data) >= PREFIX_SIZE:
            flag, size = PREFIX.unpack_from(data)
            if not flag and size == len(data) - PREFIX_SIZE and size <= self._limit:
                return [bytes(data[PREFIX_SIZE:])]  # as nearly every small message comes
        whole: list[bytes] = []
        while data:
            message = self._message
            if message is None:
                if self._prefix or len(data) < PREFIX_SIZE:
                    lacks = PREFIX_SIZE - len(self._prefix)
                    self._prefix += data[:lacks]
                    data = data[lacks:]
                    if len(self._prefix) < PREFIX_SIZE:
                        break
                    size = self._size(*PREFIX.unpack(self._prefix))
                    self._prefix = b""
                else:
                    size = self._size(*PREFIX.unpack_from(data))
                    data = data[PREFIX_SIZE:]
                if size <= len(data):
                    whole.append(bytes(data[:size]))
                    data = data[size:]
                else:
                    self._message, self._whole = bytearray(data), size
                    break
                continue
            part = data[: self._whole - len(message)]
            message += part
            data = data[len(part) :]
            if len(message) == self._whole:
                # Nobody changes it any more, and to copy a mebibyte for its type is too much.
                whole.append(cast("bytes", message))
                self._message = None
        return whole

    def _size(self, flag: int, size: int) -> int:
        if flag:
            raise BadMessage(grpc.StatusCode.UNIMPLEMENTED, "send messages without compression")
        if size > self._limit:
            raise BadMessage(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"a message of {size} bytes; {self._limit} are taken at most",
            )
        return size
