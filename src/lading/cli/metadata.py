"""`lading metadata`: the database of namespaces, mended."""

from lading.cli.listing import Record, json_lines, show
from lading.cli.options import format_option, verbs
from lading.cli.outcome import Outcome, say
from lading.cli.quantities import counted
from lading.cli.quoting import escaped
from lading.cli.session import Session

command = verbs("metadata", "Mend the database of namespaces.")

_WORDS = {
    "adopted": "adopted",
    "resumable": "adopted ingest",
    "orphan": "orphan ingest",
    "missing": "missing",
}


@command.add("rebuild")
@format_option
def rebuild(session: Session, *, as_json: bool) -> Outcome:
    """Adopt the blobs of the store that no namespace has.

    For the day the database is lost: start without it, or with what is left of it. Labels, images
    and leases are not in the blobs and do not come back. What is adopted is kept from collection
    by the lease `adopted`, until that is ended. Rows whose bytes are gone are reported, and the
    exit code is 5; ingest the bytes again. May be stopped and run again at any time.
    """
    metadata = session.made_metadata(rebuilds=True)
    from lading.content.catalog import ADOPTED  # noqa: PLC0415 - few need it

    session.kept = lambda: "what was printed is adopted; the same command does the rest"
    found = dict.fromkeys(_WORDS, 0)
    for each in metadata.rebuild(session.namespace):
        found[each.kind] += 1
        if as_json:
            show(json_lines([{**each._asdict()}]))
        else:
            place = f" of namespace {each.namespace!r}" if each.kind != "adopted" else ""
            place = place if each.namespace else ", whose ref is too long for a namespace"
            show([escaped(f"{_WORDS[each.kind]} {each.name}{place}")])
    if as_json:
        record: Record = {"kind": "summary", **found}
        show(json_lines([record]))
    adopted = found["adopted"] + found["resumable"]
    kept = (
        f"; their labels and images are lost if they had any, and lease {ADOPTED!r} keeps them"
        if adopted
        else ""
    )
    say(
        f"adopted {counted(found['adopted'], 'blob')} and {counted(found['resumable'], 'ingest')}"
        f", {found['missing']} missing{kept}"
    )
    return Outcome.BAD_DATA if found["missing"] else Outcome.OK
