"""How far the blobs of one transfer are, and what that comes to in all."""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from lading.cli.quantities import counted, size_text, span_text
from lading.model.descriptor import Descriptor
from lading.model.digest import Digest
from lading.oci.progress import (
    Begun,
    Done,
    Found,
    Mounted,
    Moved,
    Planned,
    Resolved,
    Restarted,
    Step,
)

_RATE_SPAN_S = 5.0
PAST = {
    "pull": "pulled",
    "push": "pushed",
    "copy": "copied",
    "fetch": "fetched",
    "import": "imported",
    "export": "exported",
}
"""What each verb has done, in the end."""


class Course:
    """How far one blob is."""

    def __init__(self, blob: Descriptor) -> None:
        self.blob = blob
        self.offset = 0
        self.resumed_at = 0
        """Bytes that an earlier run has moved."""
        self.moved = 0
        """Bytes that this run has moved, those of a beginning that was thrown away included."""
        self.is_spared = False
        """Whether none of it has to move."""
        self.is_moving = self.is_there = self.is_told = False
        self.began_s = self.shown_s = 0.0

    @property
    def size(self) -> int:
        """Bytes there will be; those that are there, where that is not known."""
        return max(self.blob.size, self.offset)

    def go_to(self, offset: int) -> None:
        self.moved += max(0, offset - self.offset)
        self.offset = offset


class Transfers:
    """Progress that is kept and not shown: `--progress none`, and the base of the others."""

    def __init__(self, verb: str, subject: str) -> None:
        self.verb, self.subject = verb, subject
        self.target: Descriptor | None = None
        self.courses: dict[Digest, Course] = {}
        """By the digest of their blob, in the order in which they were planned."""
        # A signal may find the main thread inside: what it then calls goes on in here.
        self._guard = threading.RLock()
        self._is_over = False
        self._began_s = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque()

    def __call__(self, step: Step) -> None:
        with self._guard:
            if not self._is_over:
                self._take(step)

    @property
    def finished(self) -> list[Descriptor]:
        """The blobs that are where they should be."""
        return [course.blob for course in list(self.courses.values()) if course.is_there]

    @property
    def unfinished(self) -> list[Descriptor]:
        """Those that are not, or not yet whole."""
        return [course.blob for course in list(self.courses.values()) if not course.is_there]

    @property
    def total(self) -> int:
        """Bytes of all blobs that are known of."""
        return sum(course.size for course in list(self.courses.values()))

    @property
    def offset(self) -> int:
        """Bytes that are where they should be, whoever has moved them."""
        return sum(course.offset for course in list(self.courses.values()))

    @property
    def moved(self) -> int:
        """Bytes that this run has moved."""
        return sum(course.moved for course in list(self.courses.values()))

    @property
    def spared(self) -> int:
        """Bytes that need not be moved, since they were there before."""
        return sum(
            course.size if course.is_spared else course.resumed_at
            for course in list(self.courses.values())
        )

    @property
    def bytes_per_second(self) -> float:
        """The rate of the last seconds."""
        now, moved = time.monotonic(), self.moved
        if not self._recent or now - self._recent[-1][0] >= _RATE_SPAN_S / 20:
            self._recent.append((now, moved))
        while now - self._recent[0][0] > _RATE_SPAN_S and len(self._recent) > 1:
            self._recent.popleft()
        then, before = self._recent[0]
        return (moved - before) / (now - then) if now > then else 0.0

    def note(self, sentence: str) -> None:
        """Say something beside the progress."""

    def clear(self) -> None:
        """Make room for somebody else's line."""

    def sum(self) -> str:
        """Say in one line what came of it."""
        blobs = counted(len(self.courses), "blob")
        past = PAST.get(self.verb, self.verb)
        if self.courses and not self.moved and self.spared == self.total:
            return f"{past} {self.subject}: {blobs}, {size_text(self.total)}, all there already"
        took = span_text(time.monotonic() - self._began_s)
        text = f"{past} {self.subject}: {blobs}, {size_text(self.moved)} in {took}"
        if not self.spared:
            return text
        there = f"{size_text(self.spared)} of {size_text(self.total)} were there"
        has_resumed = any(course.resumed_at for course in list(self.courses.values()))
        return f"{text}; resumed: {there}" if has_resumed else f"{text}; {there} already"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._guard:
            self._is_over = True
            self.clear()
            if kind is None and self.courses:
                self._conclude()

    def _take(self, step: Step) -> None:
        match step:
            case Resolved():
                self.target = step.target
            case Planned():
                self._course_of(step.blob)
            case Found() | Mounted():
                course = self._course_of(step.blob)
                course.offset, course.resumed_at = course.size, 0
                course.is_spared, course.is_there, course.is_moving = True, True, False
            case Begun():
                course = self._course_of(step.blob)
                if not course.is_told:
                    course.is_told = True
                    course.offset = course.resumed_at = step.offset
                    course.began_s = time.monotonic()
                if not self.moved:
                    self._recent.clear()  # what came before was no moving
                course.go_to(step.offset)
                course.is_moving, course.is_spared = True, False
            case Moved():
                course = self._course_of(step.blob)
                course.go_to(step.offset)
                course.is_moving = True
            case Restarted():
                course = self._course_of(step.blob)
                course.offset = course.resumed_at = 0
            case Done():
                course = self._course_of(step.blob)
                course.moved = max(course.moved, step.moved)
                course.offset, course.is_there, course.is_moving = course.size, True, False
        self._show(step)

    def _course_of(self, blob: Descriptor) -> Course:
        return self.courses.setdefault(blob.digest, Course(blob))

    def _show(self, step: Step) -> None:
        """Tell of a step that was taken."""

    def _conclude(self) -> None:
        """Tell what came of it all."""
