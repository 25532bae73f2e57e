"""What a transfer tells of itself, blob by blob, while it runs.

A function that is given `progress` calls it with each step, from whichever thread makes it, one at
a time. Offsets are true: after a retry they go on where the bytes are, and after a restart they are
less than before. A step that is lost costs nothing, since each one says where things stand.
"""

from collections.abc import Callable

from lading.model.descriptor import Descriptor
from lading.model.value import Value


class Step(Value):
    """Something that has happened in a transfer."""


class Resolved(Step):
    """A reference stands for this."""

    reference: str
    target: Descriptor


class Planned(Step):
    """More is known of what there is to move: each blob once, as its manifest is read."""

    blob: Descriptor


class Found(Step):
    """A blob is there already, whole; nothing of it is moved."""

    blob: Descriptor


class Mounted(Step):
    """The registry has taken a blob from another repository of its own."""

    blob: Descriptor
    source: str


class Begun(Step):
    """A blob begins to move, at `offset`: what is before that was moved by an earlier attempt."""

    blob: Descriptor
    offset: int


class Moved(Step):
    """So many bytes of a blob are where they should be. Said now and then, not for each write."""

    blob: Descriptor
    offset: int


class Restarted(Step):
    """A blob begins anew, at 0, since what was there could not be right."""

    blob: Descriptor
    reason: str


class Waiting(Step):
    """An attempt failed, and after a pause there will be another one."""

    blob: Descriptor | None
    """None where it is no blob that is waited for."""
    pause_s: float
    reason: str


class Done(Step):
    """A blob is there, whole and verified. `moved` bytes came by this attempt."""

    blob: Descriptor
    moved: int


Progress = Callable[[Step], object]


def nobody(step: Step) -> None:
    """Nobody asked for progress."""
