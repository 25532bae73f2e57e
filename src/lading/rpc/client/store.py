"""RemoteStore: a namespace in another process, ours or containerd's, as a content store."""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from lading.content.catalog import DAY, Images, LeaseRecord, Scope
from lading.content.store import (
    ADD_WAIT,
    NO_LABELS,
    Blob,
    Ingest,
    Labels,
    Writer,
    check_ref,
    check_total,
)
from lading.errors import AlreadyExists, Error, InvalidArgument, NotFound, RefLocked
from lading.model.digest import Data, Digest, bytes_of
from lading.model.filters import parse
from lading.rpc import wire
from lading.rpc.client import containerd
from lading.rpc.client.channel import ANSWERS_WITHIN, Channel, Headers, Method, made
from lading.rpc.client.handing import Handing
from lading.rpc.client.reader import BUFFER_SIZE, RemoteFile, pieces
from lading.rpc.client.write_call import WriteCall, message
from lading.rpc.client.writer import PIECE, open_writer
from lading.rpc.protos import content_pb2
from lading.rpc.protos.content_pb2 import COMMIT
from lading.rpc.wire import LEASE, NAMESPACE

if TYPE_CHECKING:
    from lading.rpc.client.leases import RemoteLease

_SERVICE = "/containerd.services.content.v1.Content"
_INFO: Final = Method(f"{_SERVICE}/Info", content_pb2.InfoResponse, repeats=True)
_UPDATE: Final = Method(f"{_SERVICE}/Update", content_pb2.UpdateResponse)
_LIST: Final = Method(f"{_SERVICE}/List", content_pb2.ListContentResponse, repeats=True)
_DELETE: Final = Method(f"{_SERVICE}/Delete", Empty)
_STATUS: Final = Method(f"{_SERVICE}/Status", content_pb2.StatusResponse, repeats=True)
_STATUSES: Final = Method(
    f"{_SERVICE}/ListStatuses", content_pb2.ListStatusesResponse, repeats=True
)
_ABORT: Final = Method(f"{_SERVICE}/Abort", Empty)
_PAUSE = 0.01


class RemoteScope(Scope):
    """A namespace at the other end of a channel, on behalf of a lease or of none."""

    def __init__(
        self,
        channel: Channel,
        handing: Handing,
        namespace: str,
        lease: str | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name = namespace
        self._channel, self._handing, self._clock = channel, handing, clock
        self._headers: Headers = ((NAMESPACE, _header(namespace, "namespace")),)
        if lease is not None:
            self._headers += ((LEASE, _header(lease, "lease")),)

    # Blobs

    def blob(self, digest: Digest) -> Blob:
        try:
            answer = self._once(_INFO, made(content_pb2.InfoRequest, digest=digest))
        except NotFound as error:
            raise containerd.about_blob(error, digest) from error
        return wire.blob(answer.info)

    def blobs(self, *filters: str) -> Iterator[Blob]:
        parse(*filters)
        request = made(content_pb2.ListContentRequest, filters=filters)
        return self._listed(request)

    def _listed(self, request: content_pb2.ListContentRequest) -> Iterator[Blob]:
        for page in self._channel.listed(_LIST, request, self._headers):
            yield from map(containerd.dated, map(wire.blob, page.info))

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob: its own file where that can be handed over, else one that is sent.

        Of the second kind, a jump back fails once the blob is deleted.
        """
        file = self._handing.blob(digest, self._headers)
        if file is not None:
            return file
        raw = RemoteFile(self._channel, self._headers, digest, self.blob(digest).size)
        return io.BufferedReader(raw, BUFFER_SIZE)

    def read(self, digest: Digest) -> bytes:
        """All bytes of a blob, or `NotFound`. For blobs that fit in memory."""
        return b"".join(pieces(self._channel, self._headers, digest))

    def label(self, digest: Digest, labels: Labels, *, replace: bool = False) -> Blob:
        if not labels and not replace:
            return self.blob(digest)
        mask = ["labels"] if replace else [f"labels.{key}" for key in labels]
        request = made(
            content_pb2.UpdateRequest,
            info=made(content_pb2.Info, digest=digest, labels=labels),
            update_mask=made(FieldMask, paths=mask),
        )
        try:
            return wire.blob(self._once(_UPDATE, request).info)
        except NotFound as error:
            raise containerd.about_blob(error, digest) from error

    def delete(self, digest: Digest) -> None:
        try:
            self._once(_DELETE, made(content_pb2.DeleteContentRequest, digest=digest))
        except NotFound as error:
            raise containerd.about_blob(error, digest) from error

    def add(self, data: Data, *, labels: Labels | None = None) -> Blob:
        """Store a small blob whose bytes are at hand, durably: one message, where it fits."""
        view = bytes_of(data)
        if len(view) > PIECE:
            return super().add(data, labels=labels)
        digest = Digest.of(view)
        ref = f"add-{digest}"
        whole = message(
            COMMIT,
            ref=ref,
            total=len(view),
            expected=digest,
            labels=labels or NO_LABELS,
            data=view,
        )
        try:
            self._sent_whole(ref, digest, whole)
        except AlreadyExists:
            return self.label(digest, labels or NO_LABELS)
        except Error:
            self._forget(ref)
            raise
        return self._committed(digest, len(view))

    def _sent_whole(self, ref: str, digest: Digest, whole: bytes) -> None:
        deadline = time.monotonic() + ADD_WAIT.total_seconds()
        while True:
            call = self._write()
            try:
                call.send(whole)
                call.answer()
                call.end()
            except Error as error:
                told = containerd.about_blob(containerd.about_ref(error, ref), digest)
                if not isinstance(told, RefLocked) or time.monotonic() > deadline:
                    raise told from error
                time.sleep(_PAUSE)
            except BaseException:
                call.cancel()
                raise
            else:
                return

    def _forget(self, ref: str) -> None:
        """End an ingest that nobody would go on with."""
        try:
            self.abort(ref)
        except Error:
            return

    # Ingests

    def writer(
        self,
        ref: str,
        *,
        expected: Digest | None = None,
        total: int | None = None,
        wait: timedelta | None = None,
    ) -> Writer:
        check_ref(ref)
        check_total(total)
        return open_writer(
            self._write,
            ref,
            expected=expected,
            total=total,
            wait=wait,
            expected_of=lambda ref: self.ingest(ref).expected,
            blob_of=self._committed,
            handing=self._handing,
        )

    def ingest(self, ref: str) -> Ingest:
        check_ref(ref)
        try:
            answer = self._once(_STATUS, made(content_pb2.StatusRequest, ref=ref))
        except NotFound as error:
            raise _no_ingest(error, ref) from error
        return wire.ingest(answer.status)

    def ingests(self, *filters: str) -> Iterator[Ingest]:
        parse(*filters)
        request = made(content_pb2.ListStatusesRequest, filters=filters)
        return map(wire.ingest, self._once(_STATUSES, request).statuses)

    def abort(self, ref: str) -> None:
        check_ref(ref)
        try:
            self._once(_ABORT, made(content_pb2.AbortRequest, ref=ref))
        except NotFound as error:
            raise _no_ingest(error, ref) from error

    # What keeps them

    def lease(
        self,
        id: str | None = None,  # noqa: A002 - the word that users type
        *,
        expires_in: timedelta | None = DAY,
        labels: Mapping[str, str] | None = None,
    ) -> "RemoteLease":
        from lading.rpc.client.leases import make_lease  # noqa: PLC0415 - it is a scope, too

        return make_lease(self, id, expires_in=expires_in, labels=labels)

    def leased(self, id: str) -> "RemoteLease":  # noqa: A002 - the word that users type
        from lading.rpc.client.leases import RemoteLease  # noqa: PLC0415 - it is a scope, too

        lease = RemoteLease(self, id)
        lease.record()
        return lease

    def leases(self) -> Iterator[LeaseRecord]:
        from lading.rpc.client.leases import list_leases  # noqa: PLC0415 - ditto

        return list_leases(self)

    @property
    def images(self) -> Images:
        from lading.rpc.client.images import RemoteImages  # noqa: PLC0415 - few need them

        return RemoteImages(self._channel, self._headers)

    # Inside

    def _once(self, method: Method, request: Any) -> Any:
        return self._channel.once(method, request, self._headers)

    def _write(self) -> WriteCall:
        return WriteCall(self._channel, self._headers)

    def _committed(self, digest: Digest, size: int) -> Blob:
        """Describe a blob that was committed just now."""
        try:
            return self.blob(digest)
        except NotFound:  # somebody has deleted it since
            now_ns = self._clock()
            return Blob(digest, size, now_ns, now_ns)


class RemoteStore(RemoteScope):
    """One namespace, over a connection of its own. Any method may be called from any thread.

    Nothing is sent before the first call, which raises `Unavailable` if nobody listens.
    `answers_within` is for calls of one answer; bytes may take longer.
    """

    def __init__(
        self,
        address: str,
        namespace: str = "default",
        *,
        answers_within: timedelta = ANSWERS_WITHIN,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        channel = Channel(address, answers_within=answers_within)
        super().__init__(channel, Handing(channel), namespace, clock=clock)

    def close(self) -> None:
        """Let go of the connection; writers and files that are open fail. Safe to call twice."""
        self._channel.close()


def _header(text: str, what: str) -> str:
    if not (text.isascii() and text.isprintable()) or text != text.strip() or not text:
        raise InvalidArgument(f"{what} {text[:80]!a} cannot be said to a daemon")
    return text


def _no_ingest(error: NotFound, ref: str) -> Error:
    return error if error.kind is not None else NotFound(ref, "ingest")
