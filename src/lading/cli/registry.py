"""Options of the verbs that speak to registries, and the client that is made of them."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lading.cli.outcome import Complaint, Outcome, say
from lading.cli.session import Session
from lading.errors import InvalidArgument

if TYPE_CHECKING:
    from lading.model.platform import Platform
    from lading.oci.access.credentials import Credentials
    from lading.oci.access.hosts import Hosts
    from lading.oci.choosing import Platforms
    from lading.oci.client import RegistryClient
    from lading.oci.progress import Step

PASSWORD_LIMIT = 64 << 10
"""Bytes that are read of standard input: some passwords are signed tokens."""
_ALL = "all"
_EVERY = "lading.all-platforms"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
Function = Callable[..., int | None]


class RegistryOptions(NamedTuple):
    """How registries are spoken to in this run."""

    plain_http: bool = False
    insecure: bool = False
    ca_files: tuple[Path, ...] = ()
    hosts_dirs: tuple[Path, ...] = ()
    authfile: Path | None = None
    username: str | None = None
    password_stdin: bool = False

    def client(self, session: Session, *, host: str, **settings: Any) -> "RegistryClient":
        """Make the client, with more of its own `settings`; whoever asks for it closes it.

        Who to be in this run is for the registry `host`. Pushes are remembered in the root, where
        this run works on one. Reads the password, where it comes by standard input.
        """
        with extra_is_there():
            from lading.oci.access.credentials import Credential, FileCredentials, GivenCredentials  # noqa: PLC0415 - ditto
            from lading.oci.client import RegistryClient  # noqa: PLC0415 - not for `--help`
        if session.address is None:
            settings.setdefault("uploads", Path(session.root) / "uploads")
        credentials: Credentials = FileCredentials(file=self.authfile)
        if self.username is not None:
            given = Credential(self.username, read_password())
            credentials = GivenCredentials(given, host=host, others=credentials)
        return RegistryClient(credentials=credentials, hosts=self.hosts(), **settings)

    def hosts(self) -> "Hosts":
        """Which servers answer for a registry, by these options."""
        from lading.oci.access.hosts import Hosts  # noqa: PLC0415 - not for `--help`

        return Hosts(
            self.hosts_dirs or None,
            plain_http=self.plain_http,
            verifies=not self.insecure,
            authorities=tuple(map(os.fspath, self.ca_files)),
        )

    def words(self) -> list[str]:
        """The same options again, for a command line that goes on with what this run began."""
        files = (("ca-file", self.ca_files), ("hosts-dir", self.hosts_dirs))
        return [
            *(["--plain-http"] if self.plain_http else []),
            *(["--insecure"] if self.insecure else []),
            *(part for name, found in files for file in found for part in (f"--{name}", str(file))),
            *(["--authfile", str(self.authfile)] if self.authfile else []),
            *(["--username", self.username, "--password-stdin"] if self.username else []),
        ]


def registry_options(function: Function) -> Function:
    """Add what says how registries are spoken to, which the verb sees as `registry`."""

    @functools.wraps(function)
    def with_options(*arguments: Any, registry: RegistryOptions, **options: Any) -> int | None:
        chosen = registry._replace(
            username=options.pop("username"), password_stdin=options.pop("password_stdin")
        )
        if chosen.password_stdin != (chosen.username is not None):
            missing = "--username" if chosen.username is None else "--password-stdin"
            raise click.UsageError(
                f"--username and --password-stdin go together, and {missing} is missing",
                click.get_current_context(),
            )
        return function(*arguments, registry=chosen, **options)

    for option in reversed(_IN_THIS_RUN):
        with_options = option(with_options)
    return connection_options(with_options)


def connection_options(function: Function) -> Function:
    """Add the same without who to be, for a verb that has its own way to say it."""
    names = ("plain_http", "insecure", "ca_files", "hosts_dirs", "authfile")

    @functools.wraps(function)
    def with_options(*arguments: Any, **options: Any) -> int | None:
        chosen = RegistryOptions(**{name: options.pop(name) for name in names})
        return function(*arguments, registry=chosen, **options)

    for option in reversed(_CONNECTION):
        with_options = option(with_options)
    return with_options


authfile_option = click.option(
    "--authfile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The credentials. Default: those of docker and podman.",
)
_CONNECTION = (
    click.option(
        "--plain-http",
        is_flag=True,
        help="Speak http, without TLS, to registries whose scheme no hosts.toml names.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Do not check who the other end is. For tests alone."
    ),
    click.option(
        "--ca-file",
        "ca_files",
        multiple=True,
        type=_FILE,
        metavar="FILE",
        help="Trust these certificates, too. May be repeated.",
    ),
    click.option(
        "--hosts-dir",
        "hosts_dirs",
        multiple=True,
        type=_FOLDER,
        metavar="FOLDER",
        help="Where mirrors and certificates are written down, as containerd has them. May be "
        "repeated. Default: $LADING_HOSTS, else the usual ones.",
    ),
    authfile_option,
)
_IN_THIS_RUN = (
    click.option(
        "--username", metavar="NAME", help="Who to be in this run alone, with --password-stdin."
    ),
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
)


def registry_argument(function: Function) -> Function:
    """Add HOST, which the verb sees as `host`: a registry, as references name it."""
    return click.argument("host", metavar="HOST", callback=lambda ctx, _, text: _registry(text))(
        function
    )


def platform_option(function: Function) -> Function:
    """Add --platform and --all-platforms, which the verb sees as `platform`; None for neither."""
    function = click.option(
        "--all-platforms",
        is_flag=True,
        is_eager=True,  # before --platform, which looks at it
        expose_value=False,
        callback=_remember_all,
        help="The same as --platform all.",
    )(function)
    return click.option(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        callback=_platforms,
        help="Which of several platforms: linux/arm64, or all.",
    )(function)


def platform_words(platform: "Platforms") -> list[str]:
    """The same option again."""
    return [] if platform is None else ["--platform", str(platform)]


def one_platform_option(function: Function) -> Function:
    """Add --platform for one of them, which the verb sees as `platform`."""
    return click.option(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        callback=lambda ctx, param, text: None if text is None else _platform(text, ctx, param),
        help="Which of several platforms: linux/arm64.",
    )(function)


def read_password() -> str:
    """Read a password from standard input, without the line's end; or raise `Complaint`."""
    data = sys.stdin.buffer.read(PASSWORD_LIMIT + 1)
    try:
        password = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        password = ""
    if not password or "\n" in password or len(data) > PASSWORD_LIMIT:
        raise Complaint(
            "--password-stdin: standard input has to be the password, in one line", Outcome.USAGE
        )
    return password


def say_pause(step: "Step") -> None:
    """Say for how long a registry is waited for, and why; for verbs that show no progress."""
    from lading.oci.progress import Waiting  # noqa: PLC0415 - not for `--help`

    if isinstance(step, Waiting):
        say(f"waiting {step.pause_s:.1f} s: {step.reason}")


@contextmanager
def extra_is_there() -> Iterator[None]:
    """Say how to install what is missing, where it is what registries need."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "urllib3":
            raise
        raise Complaint(
            "registries need packages that are not installed; run: pip install 'lading[oci]'",
            Outcome.FAILED,
        ) from error


def _registry(text: str) -> str:
    """Read a registry, with or without a scheme, as people paste it."""
    with extra_is_there():
        from lading.oci.access.credential import account_of  # noqa: PLC0415 - not for `--help`
        from lading.oci.access.hosts import check_registry  # noqa: PLC0415 - ditto
    try:
        return check_registry(account_of(text))
    except InvalidArgument as refusal:
        raise click.BadParameter(str(refusal)) from refusal


def _platforms(ctx: click.Context, param: click.Parameter, text: str | None) -> "Platforms":
    if _EVERY in ctx.meta:
        if text not in {None, _ALL}:
            raise click.UsageError("Choose one of --platform and --all-platforms", ctx)
        return "all"
    if text is None:
        return None
    return "all" if text == _ALL else _platform(text, ctx, param)


def _platform(text: str, ctx: click.Context, param: click.Parameter) -> "Platform":
    from lading.model.platform import Platform  # noqa: PLC0415 - not for `--help`

    try:
        return Platform.parse(text)
    except InvalidArgument as refusal:
        raise click.BadParameter(str(refusal), ctx, param) from refusal


def _remember_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        ctx.meta[_EVERY] = True
