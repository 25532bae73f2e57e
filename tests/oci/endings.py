"""How a pull ends, lie by lie, where it does not end in the image."""

from lading.errors import (
    ConnectionFailed,
    DigestMismatch,
    NotFound,
    PermissionDenied,
    Refused,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from tests.support.lies_table import LAYER

SIZE = len(LAYER)
OTHERS = r"unexpected commit digest sha256:\w{64}, expected sha256:\w{64}"
BROKE_OFF = "broke off after 100000 bytes"

# What a lie that is told once leads to, where that is no image: what a registry says for good.
ONCE = {
    "401 without a challenge": (Unauthenticated, "it wants to know who asks"),
    "403": (PermissionDenied, "team/app@sha256:.*: not allowed: DENIED: so it is"),
    "404 for a layer": (NotFound, "blob '.*/team/app@sha256:.*': not found"),
    "a redirect to itself": (Refused, "it redirects in a circle"),
    "redirects without end": (Refused, "it redirects more than 10 times"),
    "a redirect to a file": (Refused, "'file:///etc/hostname', which is no http or https URL"),
    "a redirect from https to http": (Refused, "it redirects from https to plain http"),
    "a redirect to nowhere": (Refused, "it redirects to nowhere"),
    "304, though nobody has asked for news": (Refused, "refused with 304"),
    "HEAD with another digest": (NotFound, "manifest '.*@sha256:0123456789abcdef.*': not found"),
}
# What one that is told for good leads to, where that is no image, either.
ALWAYS = ONCE | {
    "the connection ends before the answer": (ConnectionFailed, "hung up without an answer"),
    "the connection is reset before the answer": (ConnectionFailed, "reset by peer"),
    "the answer never begins": (ConnectionFailed, "timed out"),
    "the body comes a byte at a time": (ConnectionFailed, r"only \d+ bytes came in"),
    "206 from the start, and it says so": (ConnectionFailed, BROKE_OFF),
    "206 from the start, and it says otherwise": (DigestMismatch, OTHERS),
    "206 without Content-Range": (ConnectionFailed, BROKE_OFF),
    "206 from the start, without Content-Range": (ConnectionFailed, BROKE_OFF),
    "206 with a Content-Range of nonsense": (ConnectionFailed, BROKE_OFF),
    "206 that says that the whole is longer": (ConnectionFailed, BROKE_OFF),
    "206 in parts of a message": (ConnectionFailed, BROKE_OFF),
    "206 with wrong bytes": (DigestMismatch, OTHERS),
    "206 with gzip": (ConnectionFailed, BROKE_OFF),
    "206 with gzip in chunks": (ConnectionFailed, BROKE_OFF),
    "206 that ends early": (ConnectionFailed, "broke off after 0 bytes"),
    "206 that is longer than what was asked for": (ConnectionFailed, BROKE_OFF),
    "416 in the middle": (ConnectionFailed, BROKE_OFF),
    "416 in the middle, without a word": (ConnectionFailed, BROKE_OFF),
    "416 in the middle, with the length of the whole": (ConnectionFailed, BROKE_OFF),
    "wrong bytes, as many as there should be": (DigestMismatch, OTHERS),
    "wrong bytes, and then the end": (DigestMismatch, OTHERS),
    "a page of HTML instead of the layer": (
        ConnectionFailed,
        f"it has 78 bytes where there should be {SIZE}",
    ),
    "a longer body": (ConnectionFailed, f"it has {SIZE + 9} bytes where there should be {SIZE}"),
    "a shorter body": (ConnectionFailed, f"it has {SIZE - 9} bytes where there should be {SIZE}"),
    "a shorter body in chunks": (ConnectionFailed, f"ended at byte {SIZE - 9} and not at {SIZE}"),
    "a shorter body without a length": (ConnectionFailed, f"ended at byte {SIZE - 9} and not at"),
    "an empty body": (ConnectionFailed, "it has 0 bytes"),
    "a Content-Length that is too small": (ConnectionFailed, "it has 100000 bytes"),
    "a Content-Length that is too large": (ConnectionFailed, f"it has {SIZE + 9} bytes"),
    "429 with Retry-After": (TooManyRequests, "it asks for a pause of 1 s"),
    "429 without Retry-After": (TooManyRequests, "too many requests"),
    "500": (Unavailable, "it answered 500, UNKNOWN: so it is"),
    "502 with a page of HTML": (Unavailable, "it answered 502, Sign in to the network"),
    "503": (Unavailable, "it answered 503, UNAVAILABLE: so it is"),
    "504": (Unavailable, "it answered 504"),
    "an address that has expired": (
        ConnectionFailed,
        "it answered 403 to a redirect: AccessDenied",
    ),
    "204 instead of the layer": (ConnectionFailed, "it answered 204 when asked for bytes"),
    "no HTTP": (ConnectionFailed, "no HTTP"),
    "a head without an end": (ConnectionFailed, "no HTTP"),
    "a header without an end": (ConnectionFailed, "no HTTP"),
    "a chunk whose size is no number": (ConnectionFailed, "no HTTP"),
    "HEAD fails": (Unavailable, "it answered 503"),
    "a manifest with wrong bytes": (DigestMismatch, OTHERS),
    "a manifest that ends early": (ConnectionFailed, "broke off after 100 bytes"),
    "a manifest that is a page of HTML": (DigestMismatch, OTHERS),
}
