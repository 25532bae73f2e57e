"""WriteCall: one stream of a Write, and its messages.

Each message has its answer, in order. So several may be on their way while the first is answered,
and the link is never idle; how many is the writer's affair.
"""

import queue
import weakref
from collections.abc import Mapping
from typing import Final

from google.protobuf.message import Message

from lading.content.store import NO_LABELS
from lading.errors import Error, Unavailable
from lading.model.digest import Digest
from lading.rpc.client.channel import Answers, Channel, Headers, Method, made
from lading.rpc.protos import content_pb2
from lading.rpc.protos.content_pb2 import WriteContentRequest, WriteContentResponse
from lading.rpc.wire import with_data

WRITE: Final = Method(
    "/containerd.services.content.v1.Content/Write", content_pb2.WriteContentResponse
)


class WriteCall:
    """One stream. What was written is kept when it ends, however it does."""

    def __init__(self, channel: Channel, headers: Headers) -> None:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._requests = requests
        self._answers = channel.exchange(WRITE, iter(requests.get, None), headers)
        self.unanswered = 0
        """Messages whose answers have not been taken."""
        # One that nobody closes holds its ref, and a thread of grpc's, for ever.
        self._finish = weakref.finalize(self, _cancel, requests, self._answers)

    def send(self, message: bytes) -> None:
        """Send a message; its answer is to be taken."""
        self.unanswered += 1
        self._requests.put(message)

    def answer(self) -> WriteContentResponse:
        """Take the answer to the first message that has none. An error has ended the stream."""
        try:
            found: WriteContentResponse | None = self._answers.take()
        except Error:
            self.unanswered = 0
            self._finish()
            raise
        if found is None:
            self.unanswered = 0
            self._finish()
            raise Unavailable("the other end has ended the stream; open the ref again")
        self.unanswered -= 1
        return found

    def end(self) -> None:
        """Say that there is no more, and wait until the other end has let go of the ref."""
        self._requests.put(None)
        while self._answers.take() is not None:
            pass
        self._finish.detach()

    def cancel(self) -> None:
        """End it without waiting. Safe to call twice."""
        self.unanswered = 0
        self._finish()


def message(
    action: int,
    *,
    ref: str = "",
    offset: int = 0,
    total: int | None = None,
    expected: Digest | None = None,
    labels: Mapping[str, str] = NO_LABELS,
    ticket: str = "",
    size: int = 0,
    data: memoryview | None = None,
) -> bytes:
    """A message, around `data`, whose bytes are copied once."""
    head: Message = made(
        WriteContentRequest,
        action=action,
        ref=ref,
        offset=offset,
        total=total or 0,
        lading_total=total is not None,
        expected=expected or "",
        labels=labels,
        lading_ticket=ticket,
        lading_size=size,
    )
    written: bytes = head.SerializeToString()
    return with_data(written, WriteContentRequest.DATA_FIELD_NUMBER, data) if data else written


def _cancel(requests: "queue.SimpleQueue[bytes | None]", answers: Answers) -> None:
    requests.put(None)
    answers.cancel()
