"""What a lying registry is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.support.lies import Fault
    from tests.support.lying import Lying

BEFORE = -1
"""Where an answer ends that has not even a head."""
Ending = Literal["whole", "close", "reset", "stall"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: by a registry that does not lie, until a fault has changed it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    framing: Literal["length", "chunked", "none"] = "length"
    """How the other end sees where the body ends; with `none`, by the end of the connection."""
    length: int | None = None
    """What `Content-Length` says, where that is not the truth."""
    stop: int | None = None
    """Bytes of the body after which `ending` happens; `BEFORE`: no head, either."""
    ending: Ending = "whole"
    raw: bytes | None = None
    """What is sent instead of all this, before the connection ends."""
    pause_s: float = 0
    """The time between a byte and the next one."""

    def with_header(self, name: str, value: str | None) -> "Answer":
        """The same with another header, or without it."""
        kept = {key: text for key, text in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers=kept if value is None else kept | {name: value})


@dataclass(slots=True)
class Asked:
    """A request, and what became of it."""

    server: "Lying"
    method: str
    path: str
    """With what is after the question mark."""
    headers: Mapping[str, str]
    kind: str
    """blobs, manifests, tags, referrers, uploads, files, signed, token or base."""
    repository: str = ""
    object: str = ""
    """A digest, a tag, a file's or a session's name."""
    whole: bytes = b""
    """All there is of the object, where it is there."""
    start: int = 0
    """Where the honest answer begins in the whole."""
    status: int = 0
    sent: int = 0
    """Bytes of the body that were sent."""
    received: int = 0
    """Bytes of the request's own body."""
    fault: "Fault | None" = None

    @property
    def range(self) -> str | None:
        """The header `Range`."""
        return self.headers.get("Range")

    @property
    def authorization(self) -> str | None:
        """The header `Authorization`."""
        return self.headers.get("Authorization")

    @property
    def words(self) -> set[str]:
        """What a rule can name: `GET blobs range`, a digest, a repository."""
        return {
            self.method,
            self.kind,
            self.repository,
            self.object,
            "range" if self.range else "whole",
        }

    def __str__(self) -> str:
        ranged = f" {self.range}" if self.range else ""
        lie = f" {self.fault}" if self.fault else ""
        return f"{self.method} {self.path}{ranged} -> {self.status}, {self.sent} bytes{lie}"
