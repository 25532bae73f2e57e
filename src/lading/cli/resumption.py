"""What an ingest that stopped leaves behind, and the exact command that goes on with it."""

from typing import NamedTuple

from lading.cli.progress import Progress
from lading.cli.quoting import command_line
from lading.cli.session import Session
from lading.cli.source import STDIN, Source
from lading.content.store import ContentStore
from lading.errors import Error


class Resumption(NamedTuple):
    """One run of `lading ingest`, as far as another run needs to know it."""

    session: Session
    store: ContentStore
    source: Source
    ref: str
    options: tuple[str, ...]
    """What else was said of the transfer, and has to be said again."""
    adds: bool
    """Whether the source is added to what the ref held, instead of being the whole."""
    report: Progress

    def kept(self) -> str:
        """Say what is kept now, and how to go on."""
        try:
            offset = self.store.ingest(self.ref).offset
        except Error:
            return f"nothing is kept under ref {self.ref!r}; start over with: {self._command()}"
        kept = f"ref {self.ref!r} is kept at offset {offset}"
        return f"{kept}; {self._rest(offset)}" if self.adds else f"{kept}; {self._whole()}"

    def refused(self) -> str:
        """Say what becomes of bytes that are not the expected ones."""
        command = command_line(self.session.words("abort", "--", self.ref))
        return f"the ref {self.ref!r} is kept, abort it with: {command}"

    def _whole(self) -> str:
        same = "feed the same bytes again to" if self.source.name == STDIN else "go on with"
        return f"{same}: {self._command()}"

    def _rest(self, offset: int) -> str:
        # What was added is in there to stay. The same command again would add it twice.
        added = offset - self.report.resumed_at if self.report.began else 0
        if self.source.identity is None:
            return f"{added} bytes of the input are in it, feed the rest to: {self._command()}"
        tail = command_line(["tail", "-c", f"+{added + 1}", "--", self.source.name])
        return f"go on with: {tail} | {self._command(STDIN)}"

    def _command(self, name: str | None = None) -> str:
        name = self.source.name if name is None else name
        words = self.session.words("ingest")
        if self.ref != self.source.default_ref or name == STDIN:
            words += ["--ref", self.ref]
        words += self.options
        if name != STDIN:
            words += ["--", name] if name.startswith("-") else [name]
        return command_line(words)
