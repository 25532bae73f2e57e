"""`lading info`: one blob, ingest or store in full."""

import click

from lading.cli.listing import (
    Record,
    blob_record,
    facts,
    ingest_record,
    json_lines,
    path_of,
    show,
)
from lading.cli.options import format_option, verb
from lading.cli.outcome import FAILURES, Outcome, complain, worst
from lading.cli.session import Session
from lading.content.store import ContentStore, check_ref
from lading.errors import InvalidDigest, NotFound
from lading.model.digest import ALGORITHMS, Digest
from lading.stores.local.store import LocalStore


@verb
@click.argument("names", metavar="[DIGEST|REF]...", nargs=-1)
@click.option("--store", "about_store", is_flag=True, help="Show the store itself.")
@format_option
def command(
    session: Session, names: tuple[str, ...], *, about_store: bool, as_json: bool
) -> Outcome:
    """Show a blob, an ingest or the store in full.

    A name that is a digest is a blob's, or else the ref of an ingest.
    """
    if about_store == bool(names):
        raise click.UsageError("Name a DIGEST or REF, or --store", click.get_current_context())
    if about_store:
        _show([_about(session)], as_json=as_json)
        return Outcome.OK
    content = session.content() if session.address is None else None
    store = session.store()
    outcomes = []
    for number, name in enumerate(names):
        try:
            record = _record(store, content, name)
        except FAILURES as failure:
            outcomes.append(complain(failure, debug=session.debug))
            continue
        if number and not as_json:
            show([""])
        _show([record], as_json=as_json)
    return worst(outcomes)


def _record(store: ContentStore, content: LocalStore | None, name: str) -> Record:
    try:
        digest = Digest.parse(name)
        return blob_record(store.blob(digest)) | {"path": path_of(content, digest)}
    except (InvalidDigest, NotFound) as absent:
        try:
            return ingest_record(store.ingest(check_ref(name)))
        except NotFound as neither:
            # A digest with a slip in it is told so; everything else may be a ref.
            slip = isinstance(absent, InvalidDigest) and name.partition(":")[0] in ALGORITHMS
            raise absent if slip or isinstance(absent, NotFound) else neither from None


def _about(session: Session) -> Record:
    if session.address is not None:
        return {**session.remote().facts(), "namespace": session.namespace}
    address = _without_password(session.database) if session.has_database else None
    return {**session.content().facts(), "metadata": address, "namespace": session.namespace}


def _show(records: list[Record], *, as_json: bool) -> None:
    for record in records:
        show(json_lines([record]) if as_json else facts(record))


def _without_password(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    if scheme == "sqlite":
        return address
    user, at, host = rest.rpartition("@")
    name, _, _ = user.partition(":")
    return f"{scheme}{separator}{name}{at}{host}"
