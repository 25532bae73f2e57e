"""The table of lies: what a registry may do to whoever pulls, each by a sentence.

An image of one layer is pulled. In a table, `layer`, `config` and `manifest` stand for the digests
of its parts. The lies are told in the order of the requests they are for, and then never again; or,
told always, each row's last lie is told for good.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.support.lies import (
    OTHER_DIGEST,
    Always,
    Chunked,
    Cut,
    CutAt,
    Fault,
    FromStart,
    Header,
    IgnoresRange,
    Lengthless,
    Longer,
    Multipart,
    Raw,
    Redirect,
    Revokes,
    Says,
    SaysLength,
    Shorter,
    Stall,
    Status,
    Trickle,
    WrongBytes,
    Zipped,
)
from tests.support.lying_answers import BEFORE, Asked
from tests.support.registry import Image, digest, image

SEED = b"a registry that lies "
IMAGE = image({"weights": SEED * 12_000})
LAYER = IMAGE.layers[0]
"""A little more than 250 kB."""
MIDDLE = 100_000
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head></html>"
LARGEST = 4 << 20
HEAD = b"HTTP/1.1 200 OK\r\n"
_STAND_INS = {"layer": digest(LAYER), "config": digest(IMAGE.config), "manifest": IMAGE.digest}
Table = Mapping[str, Sequence[Fault]]


class Row(NamedTuple):
    """One lie, or some that belong together."""

    name: str
    lies: Table
    needs: str = ""
    """`tokens`, `tls`, or nothing."""
    waits: bool = False
    """Who is patient waits for long here."""

    @property
    def is_of_layer(self) -> bool:
        """Whether it is about the layer alone."""
        return all("layer" in key.split() for key in self.lies)

    def told(self, *, always: bool = False) -> Table:
        """The faults, for `Lying`; once, or the last one of each for good."""
        table = {}
        for key, row in self.lies.items():
            words = " ".join(_STAND_INS.get(word, word) for word in key.split())
            table[words] = [*row[:-1], Always(row[-1])] if always else list(row)
        return table


def once_elsewhere(asked: Asked) -> str:
    """An address at the other server, which is good for one request."""
    assert asked.server.other is not None
    return asked.server.other.sign(asked.whole, uses=1)


def in_part_elsewhere(asked: Asked) -> str:
    """An address at the other server, which breaks off in the middle and is good no more."""
    assert asked.server.other is not None
    return asked.server.other.sign(asked.whole, size=MIDDLE)


def used_up_elsewhere(asked: Asked) -> str:
    """An address at the other server, which has expired already."""
    assert asked.server.other is not None
    return asked.server.other.sign(asked.whole, uses=0)


def same_place(asked: Asked) -> str:
    """The very address that was asked for."""
    return asked.path


def never_same(asked: Asked) -> str:
    """Another address at each request, always of the same thing."""
    return asked.path.partition("?")[0] + f"?n={len(asked.server.log)}"


def _layer(*faults: Fault) -> Table:
    return {"layer": faults}


def _resumed(*faults: Fault) -> Table:
    """Lies for whoever was cut off in the middle, and goes on."""
    return {"layer whole": [Cut(MIDDLE)], "layer range": faults}


BOTH_KINDS = IMAGE.manifest[:-1] + b', "manifests": []}'
TOO_LARGE = IMAGE.manifest + b" " * LARGEST

ROWS = [
    # The connection.
    Row("the body ends early, in good order", _layer(Cut(MIDDLE))),
    Row("the body ends early, by a reset", _layer(Cut(MIDDLE, reset=True))),
    Row("the connection ends before the answer", _layer(Cut(BEFORE))),
    Row("the connection is reset before the answer", _layer(Cut(BEFORE, reset=True))),
    Row("the answer never begins", _layer(Stall(BEFORE)), waits=True),
    Row("the body stalls", _layer(Stall(MIDDLE)), waits=True),
    Row("the body comes a byte at a time", _layer(Trickle()), waits=True),
    # Ranges: who does not resume does not meet these.
    Row("200 with the whole, for a range", _resumed(IgnoresRange())),
    Row("206 from the start, and it says so", _resumed(FromStart(says=True))),
    Row("206 from the start, and it says otherwise", _resumed(FromStart())),
    Row("206 without Content-Range", _resumed(Header("Content-Range"))),
    Row(
        "206 from the start, without Content-Range", _resumed(FromStart() + Header("Content-Range"))
    ),
    Row("206 with a Content-Range of nonsense", _resumed(Header("Content-Range", "bytes=?-?"))),
    Row(
        "206 that says that the whole is longer",
        _resumed(Header("Content-Range", "bytes 100000-999998/999999")),
    ),
    Row("206 in parts of a message", _resumed(Multipart())),
    Row("206 with wrong bytes", _resumed(WrongBytes(MIDDLE + 7))),
    Row("206 with gzip", _resumed(Zipped())),
    Row("206 with gzip in chunks", _resumed(Zipped() + Chunked())),
    Row("206 that ends early", _resumed(CutAt(2 * MIDDLE))),
    Row("206 that is longer than what was asked for", _resumed(Longer(9))),
    Row(
        "416 in the middle",
        _resumed(Status(416, headers={"Content-Range": f"bytes */{len(LAYER)}"})),
    ),
    Row("416 in the middle, without a word", _resumed(Status(416, body=b""))),
    Row(
        "416 in the middle, with the length of the whole",
        _resumed(Status(416) + SaysLength(len(LAYER)) + Cut(33)),
    ),
    # Bytes.
    Row("wrong bytes, as many as there should be", _layer(WrongBytes(MIDDLE))),
    Row("wrong bytes, and then the end", _layer(WrongBytes(7) + Cut(MIDDLE))),
    Row(
        "a page of HTML instead of the layer",
        _layer(Says(PAGE) + Header("Content-Type", "text/html")),
    ),
    Row("gzip on the whole", _layer(Zipped())),
    # Lengths.
    Row("a longer body", _layer(Longer(9))),
    Row("a longer body in chunks", _layer(Longer(9) + Chunked())),
    Row("a longer body without a length", _layer(Longer(9) + Lengthless())),
    Row("a shorter body", _layer(Shorter(9))),
    Row("a shorter body in chunks", _layer(Shorter(9) + Chunked())),
    Row("a shorter body without a length", _layer(Shorter(9) + Lengthless())),
    Row("an empty body", _layer(Says(b""))),
    Row("a Content-Length that is too small", _layer(SaysLength(MIDDLE))),
    Row("a Content-Length that is too large", _layer(SaysLength(len(LAYER) + 9))),
    Row("no length, in chunks", _layer(Chunked())),
    Row("no length, to the end of the connection", _layer(Lengthless())),
    # Statuses.
    Row(
        "429 with Retry-After", _layer(Status(429, "TOOMANYREQUESTS", headers={"Retry-After": "1"}))
    ),
    Row("429 without Retry-After", _layer(Status(429, "TOOMANYREQUESTS"))),
    Row("500", _layer(Status(500))),
    Row(
        "502 with a page of HTML",
        _layer(Status(502, headers={"Content-Type": "text/html"}, body=PAGE)),
    ),
    Row("503", _layer(Status(503, "UNAVAILABLE"))),
    Row("504", _layer(Status(504, body=b""))),
    Row("401 without a challenge", _layer(Status(401, "UNAUTHORIZED"))),
    Row("403", _layer(Status(403, "DENIED"))),
    Row("404 for a layer", _layer(Status(404, "BLOB_UNKNOWN"))),
    Row("204 instead of the layer", _layer(Status(204))),
    Row("304, though nobody has asked for news", _layer(Status(304))),
    Row("no HTTP", _layer(Raw(b"220 mail.example ESMTP\r\n"))),
    Row("a head without an end", _layer(Raw(HEAD + b"X-Filler: more\r\n" * 1_000))),
    Row("a header without an end", _layer(Raw(HEAD + b"X-Filler: " + b"more" * 50_000))),
    Row(
        "a chunk whose size is no number",
        _layer(Raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n" + LAYER)),
    ),
    Row(
        "a chunk whose size is none of this world",
        _layer(Raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 400 + b"\r\n" + LAYER)),
    ),
    # Redirects.
    Row(
        "an address that is good once, after which the body ends early",
        {"layer": [Redirect(in_part_elsewhere)]},
    ),
    Row("an address that has expired", _layer(Redirect(used_up_elsewhere))),
    Row(
        "an address at another host, where no token belongs",
        {"layer": [Redirect(once_elsewhere)]},
        needs="tokens",
    ),
    Row("a redirect to itself", _layer(Redirect(same_place))),
    Row("redirects without end", {"layer": [Redirect(never_same)] * 11}),
    Row("a redirect to a file", _layer(Redirect("file:///etc/hostname"))),
    Row(
        "a redirect from https to http",
        _layer(Redirect("http://registry.example/blob")),
        needs="tls",
    ),
    Row("a redirect to nowhere", _layer(Redirect(""))),
    # Tokens.
    Row(
        "a token that expires in the middle of the layer",
        _layer(Revokes() + Cut(MIDDLE)),
        needs="tokens",
    ),
    # What HEAD says.
    Row("HEAD without a length", {"HEAD manifests": [Lengthless()]}),
    Row("HEAD without a digest", {"HEAD manifests": [Header("Docker-Content-Digest")]}),
    Row(
        "HEAD with another digest",
        {"HEAD manifests": [Header("Docker-Content-Digest", OTHER_DIGEST)]},
    ),
    Row(
        "HEAD with a digest of nonsense",
        {"HEAD manifests": [Header("Docker-Content-Digest", "sha256:?")]},
    ),
    Row("HEAD is not allowed", {"HEAD manifests": [Status(405, "UNSUPPORTED")]}),
    Row("HEAD fails", {"HEAD manifests": [Status(503, "UNAVAILABLE")]}),
    # Manifests.
    Row("a manifest with wrong bytes", {"manifests": [WrongBytes(30)]}),
    Row("a manifest that ends early", {"manifests": [Cut(100)]}),
    Row(
        "a manifest of another digest",
        {"manifests": [Header("Docker-Content-Digest", OTHER_DIGEST)]},
    ),
    Row(
        "a manifest that is a page of HTML",
        {"manifests": [Says(PAGE) + Header("Content-Type", "text/html")]},
    ),
]

MANIFESTS = {
    "is no JSON": IMAGE.manifest[:-30],
    "is larger than any may be": TOO_LARGE,
    "could be read as an image and as an index": BOTH_KINDS,
    "is a list": b"[]",
}
"""Manifests that are what they are: their digest is right, and still nobody should follow them."""


def scene(made: Image = IMAGE) -> dict[str, Image]:
    """What the registry of the table holds."""
    return {"team/app:1": made}
