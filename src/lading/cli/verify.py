"""`lading verify`: read blobs and compare them with their digests."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from lading.cli.listing import ORPHAN, Record, json_lines, path_of, show
from lading.cli.options import DIGEST, format_option, progress_option, verb
from lading.cli.outcome import Outcome, outcome_of, say, worst
from lading.cli.progress import Progress, progress_of
from lading.cli.quantities import size_text
from lading.cli.quoting import escaped
from lading.cli.session import Session
from lading.content.store import Blob, ContentStore
from lading.content.transfer import verify
from lading.errors import DataLoss, Error, FailedPrecondition, NotFound
from lading.model.digest import Digest
from lading.stores.local.store import LocalStore

if TYPE_CHECKING:
    from lading.content.catalog import Catalog

_NO_FAILURES = {"stray", "orphan"}


@verb
@click.argument("digests", metavar="[DIGEST]...", nargs=-1, type=DIGEST)
@click.option(
    "--all", "everything", is_flag=True, help="Every blob; report stray files and orphans."
)
@click.option("--filter", "filters", metavar="FILTER", multiple=True, help="Blobs it accepts.")
@format_option
@progress_option
def command(
    session: Session,
    digests: tuple[Digest, ...],
    *,
    everything: bool,
    filters: tuple[str, ...],
    as_json: bool,
    progress: str,
) -> Outcome:
    """Read blobs and compare them with their digests.

    Prints a line for each that is bad and goes on; a summary follows on stderr. The exit code is
    5 if any is bad. Stray files, and blobs that no namespace has, are reported by --all and are
    no failure.
    """
    if bool(digests) + everything + bool(filters) != 1:
        raise click.UsageError("Name DIGESTs, or --all, or --filter", click.get_current_context())
    store = session.store()
    content = session.content() if session.address is None else None
    audit = _Audit(store, content, as_json=as_json)
    session.kept = lambda: f"nothing was changed; {audit.summary()}"
    with progress_of(progress, "verify", "", elsewhere="none") as report:
        if digests:
            audit.check_named(digests, report)
        else:
            audit.check_listed(store.blobs(*filters), report)
    if everything:
        audit.report_strays()
        metadata = session.metadata()
        if metadata is not None:
            audit.report_orphans(metadata)
    if as_json:
        show(json_lines([audit.counts()]))
    say(audit.summary())
    return worst(audit.outcomes)


class _Audit:
    """What one run has read, and what it has found."""

    def __init__(self, store: ContentStore, content: LocalStore | None, *, as_json: bool) -> None:
        self._store, self._content, self._as_json = store, content, as_json
        self.outcomes: list[Outcome] = []
        self._checked = self._size = 0
        self._found = {"bad": 0, "missing": 0, "unread": 0, "stray": 0, "orphan": 0}

    def check_named(self, digests: Iterable[Digest], report: Progress) -> None:
        """Check blobs that somebody asked for: one that is absent is a finding."""
        for digest in digests:
            try:
                self._check(self._store.blob(digest), report)
            except Error as failure:
                self._blame(digest, failure, report)

    def check_listed(self, blobs: Iterator[Blob], report: Progress) -> None:
        """Check blobs as the store lists them: one that is deleted meanwhile is none any more."""
        for blob in blobs:
            try:
                self._check(blob, report)
            except NotFound:
                continue
            except Error as failure:
                self._blame(blob.digest, failure, report)

    def report_strays(self) -> None:
        """Report the files of the root that are no part of a store."""
        if self._content is None:
            say("stray files are not looked for through a daemon; verify its root for that")
            return
        for path, reason in self._content.strays():
            self._report("stray", None, str(path), reason)

    def report_orphans(self, metadata: "Catalog") -> None:
        """Report the blobs that no namespace has, unread."""
        try:
            for blob in metadata.orphans():
                path = path_of(self._content, blob.digest)
                self._report("orphan", blob.digest, path, ORPHAN)
        except FailedPrecondition as refusal:  # containerd does not tell
            say(f"orphans are not looked for: {refusal}")

    def counts(self) -> Record:
        """Sum up for a program."""
        return {"kind": "summary", "checked": self._checked, "bytes": self._size, **self._found}

    def summary(self) -> str:
        """Sum up for people."""
        found = [f"{count} {kind}" for kind, count in self._found.items() if count]
        if not any(count for kind, count in self._found.items() if kind not in _NO_FAILURES):
            found.insert(0, "all good")
        checked = f"{self._checked} blob{'' if self._checked == 1 else 's'}"
        return f"verified {checked}, {size_text(self._size)}: {', '.join(found)}"

    def _check(self, blob: Blob, report: Progress) -> None:
        report.turn_to(blob.digest, blob.size)
        verify(self._store, blob.digest, progress=report)
        self._checked += 1
        self._size += blob.size
        report.done(f"good {blob.digest}", digest=blob.digest)

    def _blame(self, digest: Digest, failure: Error, report: Progress) -> None:
        report.clear()
        self.outcomes.append(outcome_of(failure))
        match failure:
            case NotFound():
                kind, reason = "missing", "not found"
            case DataLoss():
                kind, reason = "bad", failure.reason
            case _:
                kind, reason = "unread", str(failure)
        self._checked += kind == "bad"
        path = None if kind == "missing" else path_of(self._content, digest)
        self._report(kind, digest, path, reason)

    def _report(self, kind: str, digest: Digest | None, path: str | None, reason: str) -> None:
        self._found[kind] += 1
        if self._as_json:
            record: Record = {"kind": kind, "digest": digest, "path": path, "reason": reason}
            show(json_lines([record]))
        else:
            show([escaped(f"{kind} {digest or path}: {reason}")])
