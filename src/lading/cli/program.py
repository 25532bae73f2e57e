"""The command as a whole: its verbs, found by name, and its exit."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

import click

from lading.cli.options import VerbGroup, global_options
from lading.cli.outcome import Outcome, conclude
from lading.cli.session import Session

VERBS = {
    "ingest": "Store a file or a stream as a blob, and print its digest.",
    "get": "Write a blob to a file or to standard output.",
    "ls": "List the blobs.",
    "active": "List the ingests: what has begun and not ended.",
    "info": "Show a blob, an ingest or the store in full.",
    "abort": "End ingests and free their room.",
    "rm": "Delete blobs.",
    "pull": "Bring an image or an artifact from a registry.",
    "push": "Send an image or an artifact to a registry.",
    "copy": "Copy an image or an artifact between registries, or within one.",
    "fetch": "Bring one blob from a URL or a registry, and print its digest.",
    "resolve": "Print the digest that a reference stands for.",
    "tags": "List the tags of a repository.",
    "login": "Keep credentials for a registry.",
    "logout": "Forget the credentials for a registry.",
    "import": "Bring images from an archive or an image layout.",
    "export": "Write images to an archive or an image layout.",
    "verify": "Read blobs and compare them with their digests.",
    "label": "Set labels of a blob, and show all that it has.",
    "namespaces": "List, label and delete namespaces.",
    "leases": "Make and end leases, which keep blobs from collection.",
    "images": "Give names to blobs.",
    "gc": "Delete the blobs that nothing keeps.",
    "serve": "Answer containerd's content API on a socket.",
    "metadata": "Mend the database of namespaces.",
    "completion": "Print the completion script of a shell.",
}
"""The first sentence of each verb's help, so that the listing loads none of them."""
_MODULES = {"import": "import_"}
"""Verbs that Python will not have as the name of a module."""


class _Program(VerbGroup):
    """A group that loads a verb when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = import_module(f"lading.cli.{module}").command
        return command

    def explained(self) -> list[tuple[str, str]]:
        return list(VERBS.items())

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return Outcome.PIPE_CLOSED  # before click makes a 1 of it

    def main(self, args: Any = None, *_: Any, **extra: Any) -> NoReturn:
        """Run one command line, and exit. No expected failure comes out as a traceback."""
        session = Session()
        extra |= {"prog_name": "lading", "standalone_mode": False, "obj": session}
        run: Callable[[], int | None] = lambda: super(_Program, self).main(args, **extra)  # noqa: E731 - `super` needs its arguments here
        try:
            outcome = conclude(run, session)
        finally:
            session.close()
        sys.exit(outcome)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415 - slow to load, seldom asked

        click.echo(f"lading {version('lading')}")
        ctx.exit()


@click.group(
    cls=_Program,
    subcommand_metavar="VERB ...",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`lading VERB --help` explains a verb. Exit codes: 0 done, 1 failed, 2 wrong usage, "
    "3 not found, 4 not allowed, 5 integrity, 6 locked, 7 temporary, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def program(ctx: click.Context) -> int | None:
    """Keep content by its digest, and survive interrupted transfers.

    Bytes come in under a ref, can stop and go on at any time, and become a blob when they are
    whole. All verbs work on one root, or through the daemon of one.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return Outcome.USAGE
    return None


program.params += global_options()
