"""`lading ingest`: a file or a stream becomes a blob, or goes on becoming one."""

import os

import click

from lading.cli.keeping import kept_by, lease_option
from lading.cli.listing import show
from lading.cli.options import DIGEST, FILE, REF, Wait, progress_option, verb, wait_option
from lading.cli.outcome import Complaint, Outcome, outcome_of, sentence_of
from lading.cli.progress import progress_of
from lading.cli.resumption import Resumption
from lading.cli.session import Session
from lading.cli.source import STDIN, source_of
from lading.content import transfer
from lading.errors import DigestMismatch, Error, ResourceExhausted, SizeMismatch
from lading.model.digest import Digest


@verb
@click.argument("file", metavar="[FILE|-]", required=False, type=FILE)
@click.option("--ref", type=REF, metavar="REF", help="The name of the ingest.")
@click.option(
    "--expected-size",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="Refuse any other size; the room is taken first.",
)
@click.option(
    "--expected-digest", type=DIGEST, metavar="DIGEST", help="Refuse bytes of any other digest."
)
@click.option("--append", is_flag=True, help="Add at the end of what the ref holds, and commit.")
@click.option("--keep-open", is_flag=True, help="Add, do not commit, and print the offset.")
@lease_option
@wait_option
@progress_option
def command(
    session: Session,
    file: str | None,
    *,
    ref: str | None,
    expected_size: int | None,
    expected_digest: Digest | None,
    append: bool,
    keep_open: bool,
    lease: str | None,
    wait: Wait,
    progress: str,
) -> None:
    """Store a file or a stream as a blob, and print its digest.

    Without FILE, or with -, reads standard input. Stopped at any point, the same command goes on
    where it was: the ref of a FILE is made of its path, size, time and inode. A stream needs
    --ref or --expected-digest for that, and starts over if it cannot be read from the middle.
    """
    if append and ref is None:
        raise click.UsageError("--append needs the --ref to add to", click.get_current_context())
    store, labels = kept_by(session, lease)
    adds = append or keep_open
    with source_of(file, expected_digest) as source:
        ref = ref or source.default_ref
        size = source.size if expected_size is None and not adds else expected_size
        title = "standard input" if source.name == STDIN else os.path.basename(source.name)  # noqa: PTH119 - stays a text
        with progress_of(progress, "ingest", title, total=size) as report:
            options = _repeated(
                expected_size, expected_digest, append=append, keep_open=keep_open, lease=lease
            )
            resumption = Resumption(session, store, source, ref, options, adds, report)
            session.kept = resumption.kept
            report.ref = ref
            report.going_on = _going_on(
                adds=adds, sure=ref == source.default_ref or expected_digest is not None
            )
            try:
                if keep_open:
                    held = transfer.append(
                        store,
                        ref,
                        source.reader,
                        expected=expected_digest,
                        total=expected_size,
                        wait=wait,
                        progress=report,
                    )
                    answer = str(held.offset)
                    report.done(f"kept {ref} at {answer}")
                else:
                    blob = transfer.ingest(
                        store,
                        ref,
                        source.reader,
                        expected=expected_digest,
                        total=expected_size,
                        append=append,
                        labels=labels,
                        wait=wait,
                        progress=report,
                    )
                    answer = blob.digest
                    word = "stored" if report.began else "already here:"
                    report.done(f"{word} {answer}", digest=answer)
            except (DigestMismatch, SizeMismatch) as failure:
                raise _complaint(failure, resumption.refused()) from failure
            except ResourceExhausted as failure:
                raise _complaint(failure, resumption.kept()) from failure
            except OSError as failure:
                failure.filename = failure.filename or title
                raise _complaint(failure, resumption.kept()) from failure
        show([answer])
        if source.has_changed and expected_digest is None:
            raise Complaint(
                f"{source.name} changed while it was read, and the blob is what was read; "
                "ingest it again once nobody writes to it",
                Outcome.FAILED,
            )


def _complaint(failure: OSError | Error, advice: str) -> Complaint:
    return Complaint(f"{sentence_of(failure)}; {advice}", outcome_of(failure))


def _going_on(*, adds: bool, sure: bool) -> str:
    if adds:
        return "adding to the {} bytes that are there"
    if sure:
        return "resumed, {} bytes are there already and need not be read again"
    # Whoever named the ref may have meant another source, so that it was compared.
    return "resumed, {} bytes are there already and are the same"


def _repeated(
    size: int | None, digest: Digest | None, *, append: bool, keep_open: bool, lease: str | None
) -> tuple[str, ...]:
    """The options that a resume has to repeat."""
    return (
        *(("--expected-size", str(size)) if size is not None else ()),
        *(("--expected-digest", digest) if digest is not None else ()),
        *(("--append",) if append else ()),
        *(("--keep-open",) if keep_open else ()),
        *(("--lease", lease) if lease is not None else ()),
    )
