"""The requests of a Write, taken apart so that their bytes are not copied.

A message of a mebibyte is nearly all `data`. That field is found by walking over the outer fields,
and given as a view into the message; what is left is small, and protobuf reads it.
"""

from lading.errors import InvalidArgument
from lading.rpc.methods import read
from lading.rpc.protos.content_pb2 import WriteContentRequest

_DATA = WriteContentRequest.DATA_FIELD_NUMBER
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SMALL = 4096
_VARINT_LIMIT = 10


def split(message: bytes) -> tuple[WriteContentRequest, memoryview]:
    """A request without its data, and the data; `InvalidArgument` for what is no request."""
    if len(message) <= _SMALL:
        request = read(WriteContentRequest, message)
        return request, memoryview(request.data)
    start, end = 0, 0
    position, size = 0, len(message)
    kept: list[memoryview] = []
    view = memoryview(message)
    while position < size:
        began = position
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _LENGTH:
            length, position = _varint(message, position)
            if key >> 3 == _DATA:
                start, end = position, position + length
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _VARINT:
                _, position = _varint(message, position)
            elif not length:
                raise _broken()
        position += length
        if position > size:
            raise _broken()
        if key >> 3 != _DATA or kind != _LENGTH:
            kept.append(view[began:position])
    return read(WriteContentRequest, b"".join(kept)), view[start:end]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    try:
        for position_ in range(position, position + _VARINT_LIMIT):
            byte = message[position_]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return value, position_ + 1
            shift += 7
    except IndexError:
        pass
    raise _broken()


def _broken() -> InvalidArgument:
    return InvalidArgument("the request is no containerd.services.content.v1.WriteContentRequest")
