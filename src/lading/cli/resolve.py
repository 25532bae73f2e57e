"""`lading resolve`: what a reference stands for."""

from typing import TYPE_CHECKING

import click

from lading.cli.listing import Record, json_lines, show, table
from lading.cli.options import format_option, quiet_option, verb
from lading.cli.quantities import size_text
from lading.cli.registry import RegistryOptions, one_platform_option, registry_options, say_pause
from lading.cli.session import Session

if TYPE_CHECKING:
    from lading.model.descriptor import Descriptor
    from lading.model.platform import Platform
    from lading.model.reference import Reference


@verb
@click.argument("reference")
@one_platform_option
@click.option("--referrers", is_flag=True, help="List what is attached to it instead.")
@click.option("--artifact-type", metavar="TYPE", help="Of what is attached, what is of this type.")
@quiet_option("digests")
@format_option
@registry_options
def command(
    session: Session,
    reference: str,
    *,
    platform: "Platform | None",
    referrers: bool,
    artifact_type: str | None,
    quiet: bool,
    as_json: bool,
    registry: RegistryOptions,
) -> None:
    """Print the digest that a reference stands for.

    That of an index, where there is one for several platforms; --platform chooses in it. Nothing
    is brought here. With --referrers, signatures and the like, which registries keep beside it.
    """
    context = click.get_current_context()
    if artifact_type and not referrers:
        raise click.UsageError("--artifact-type is for --referrers", context)
    if quiet and as_json:
        raise click.UsageError("Choose one of --quiet and --json", context)
    from lading.model.reference import Reference  # noqa: PLC0415 - not for `--help`

    parsed = Reference.parse(reference)
    with registry.client(session, host=parsed.host) as client:
        found = client.resolve(parsed, platform=platform, progress=say_pause)
        if not referrers:
            show(json_lines([_record(parsed, found)]) if as_json else [found.digest])
            return
        attached = client.referrers(
            parsed.at(found.digest), artifact_type=artifact_type, progress=say_pause
        )
    if quiet:
        show(each.digest for each in attached)
    elif as_json:
        show(json_lines(_record(parsed, each) for each in attached))
    else:
        rows = (
            (each.digest, size_text(each.size), each.artifact_type or each.media_type)
            for each in attached
        )
        show(table(("DIGEST", "SIZE", "TYPE"), rows))


def _record(reference: "Reference", descriptor: "Descriptor") -> Record:
    platform = descriptor.platform
    return {
        "reference": str(reference.at(descriptor.digest)),
        "digest": str(descriptor.digest),
        "media_type": descriptor.media_type,
        "size": descriptor.size,
        "platform": None if platform is None else str(platform),
        "artifact_type": descriptor.artifact_type,
        "annotations": dict(descriptor.annotations),
    }
