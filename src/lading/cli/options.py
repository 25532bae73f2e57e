"""Options and arguments that several verbs share, and how their texts are read."""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from lading.cli.quantities import duration
from lading.cli.session import Session
from lading.cli.terminal import columns
from lading.content.store import check_ref
from lading.errors import InvalidArgument
from lading.model.digest import Digest

_HELP_WIDTH = 80
_HELP_WIDTH_LIMIT = 30
Wait = timedelta | None
Decorated = TypeVar("Decorated", bound=Callable[..., Any] | click.Command)


class _Read(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """A text that one of our own readers reads, or refuses with a sentence."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except InvalidArgument as refusal:
            self.fail(str(refusal), param, ctx)


class _File(click.Path):
    """The name of a file, or `-`. It is opened by whoever reads or writes it."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if not value:
            self.fail("a file needs a name", param, ctx)
        return super().convert(value, param, ctx)


def _root(text: str) -> str:
    if not text:
        raise InvalidArgument("a root needs a name; . is this folder")
    return text


def _address(text: str) -> str:
    if not text:
        raise InvalidArgument("an address is unix:///path/of/a/socket or tcp://host:port")
    return text


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise InvalidArgument(f"{text!r} is no label; write KEY=VALUE, or KEY= to delete it")
        labels[key] = value
    return labels


FILE = _File(allow_dash=True)
DIGEST = _Read("digest", Digest.parse)
REF = _Read("ref", check_ref)
DURATION = _Read("duration", duration)
_ROOT = _Read("folder", _root)
_ADDRESS = _Read("address", _address)


def global_options() -> list[click.Parameter]:
    """Make what stands before or after the verb; after it wins."""
    return [
        click.Option(
            ["--root"],
            type=_ROOT,
            expose_value=False,
            callback=_set_given,
            help="The folder of the store. Default: $LADING_ROOT, else "
            "$XDG_DATA_HOME/lading, else ~/.local/share/lading.",
        ),
        click.Option(
            ["--address"],
            metavar="ADDRESS",
            type=_ADDRESS,
            expose_value=False,
            callback=_set_given,
            help="Work through the daemon that listens there, not on a root: unix:///path or "
            "tcp://host:port. Default: $LADING_ADDRESS; after a root, $CONTAINERD_ADDRESS counts.",
        ),
        click.Option(
            ["--namespace"],
            metavar="NAME",
            expose_value=False,
            callback=_set_given,
            help="The namespace to work in. Default: $LADING_NAMESPACE, else default.",
        ),
        click.Option(
            ["--metadata"],
            metavar="URL",
            expose_value=False,
            callback=_set_given,
            help="The database of namespaces. Default: $LADING_METADATA, else metadata.db in the "
            "root, which is made when it is first needed.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_set_debug,
            help="Show a traceback with every error.",
        ),
    ]


class Context(click.Context):
    """A run of a verb, whose help fits the terminal."""

    def make_formatter(self) -> click.HelpFormatter:
        # With a width given, click does not load shutil to find one; and this one goes lower.
        width = min(columns(sys.stdout), _HELP_WIDTH) - 2
        return self.formatter_class(width=max(width, _HELP_WIDTH_LIMIT))


class Verb(click.Command):
    """One verb."""

    context_class = Context


class VerbGroup(click.Group):
    """Verbs under one word: `lading leases ls`."""

    context_class = Context

    def add(self, name: str) -> Callable[[Callable[..., int | None]], click.Command]:
        """Make a function one of the verbs."""

        def add_it(function: Callable[..., int | None]) -> click.Command:
            command = verb(function)
            self.add_command(command, name)
            return command

        return add_it

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the page, not of the alphabet

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, verbs = args[0], self.list_commands(ctx)
        if name not in verbs and not ctx.resilient_parsing and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - for typing errors only

            near = get_close_matches(name, verbs, n=1)
            meant = f", did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no verb {name!r}{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(self.explained())

    def explained(self) -> list[tuple[str, str]]:
        """Each verb and the first sentence of its help."""
        return [
            (name, (verb.help or "").partition("\n")[0]) for name, verb in self.commands.items()
        ]


def verb(function: Callable[..., int | None]) -> click.Command:
    """Make a command of a function that takes the `Session` first and returns its exit code."""
    settings = {"help_option_names": ["-h", "--help"]}
    command = click.command(cls=Verb, context_settings=settings)(click.pass_obj(function))
    command.params += global_options()
    return command


def verbs(name: str, explanation: str) -> VerbGroup:
    """Make a group of verbs."""
    return VerbGroup(
        name,
        help=explanation,
        params=global_options(),
        no_args_is_help=False,  # it would be an error that is a page long
        subcommand_metavar="VERB ...",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def format_option(function: Decorated) -> Decorated:
    """Add --format and --json, which the verb sees as `as_json`."""
    function = click.option(
        "--json",
        is_flag=True,
        is_eager=True,  # before --format, which looks at it
        expose_value=False,
        callback=_remember_json,
        help="The same as --format json.",
    )(function)
    return click.option(
        "--format",
        "as_json",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        callback=lambda ctx, _, value: value == "json" or _JSON in ctx.meta,
        help="A table for people, or one JSON object per line.",
    )(function)


def progress_option(function: Decorated) -> Decorated:
    """Add --progress, which the verb sees as `progress`."""
    return click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "lines", "jsonl", "none"]),
        default="auto",
        envvar="LADING_PROGRESS",
        show_default=True,
        help="How to report on stderr. A bar is for terminals.",
    )(function)


def labels_argument(function: Decorated) -> Decorated:
    """Add KEY=VALUE..., which the verb sees as `labels`."""
    return click.argument(
        "labels",
        metavar="[KEY=VALUE]...",
        nargs=-1,
        callback=lambda ctx, param, texts: _labels(texts),
    )(function)


def quiet_option(what: str) -> Callable[[Decorated], Decorated]:
    """Add -q, which the verb sees as `quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help=f"Print {what} alone.")


def replace_option(function: Decorated) -> Decorated:
    """Add --replace, which the verb sees as `replace`."""
    return click.option("--replace", is_flag=True, help="Delete all labels that are not named.")(
        function
    )


def wait_option(function: Decorated) -> Decorated:
    """Add --wait, which the verb sees as `wait`: a `timedelta` or None."""
    return click.option(
        "--wait",
        type=DURATION,
        metavar="DURATION",
        help="How long to wait for another writer of the ref: 30s, 5m, 1h30m.",
    )(function)


_JSON = "lading.json"


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        ctx.meta[_JSON] = True


def _set_given(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        assert param.name is not None
        ctx.ensure_object(Session).given[param.name] = value


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        ctx.ensure_object(Session).debug = True
