"""`lading tags`: the tags of a repository."""

import click

from lading.cli.listing import json_lines, show
from lading.cli.options import format_option, verb
from lading.cli.quoting import escaped
from lading.cli.registry import RegistryOptions, registry_options, say_pause
from lading.cli.session import Session
from lading.errors import InvalidArgument


@verb
@click.argument("repository")
@format_option
@registry_options
def command(session: Session, repository: str, *, as_json: bool, registry: RegistryOptions) -> None:
    """List the tags of a repository.

    One a line, in the order of the registry. What a tag stands for is what `lading resolve` says.
    """
    from lading.model.reference import Reference  # noqa: PLC0415 - not for `--help`

    reference = Reference.parse(repository)
    if reference.digest or repository.endswith(f":{reference.tag}"):
        raise InvalidArgument(
            f"{repository!r} names one image; write the repository alone: {reference.name}"
        )
    with registry.client(session, host=reference.host) as client:
        tags = client.tags(reference, progress=say_pause)
        if as_json:
            show(json_lines({"reference": f"{reference.name}:{t}", "tag": t} for t in tags))
        else:
            show(map(escaped, tags))
