"""`lading login`: keep credentials for a registry."""

import sys

import click

from lading.cli.options import verb
from lading.cli.outcome import say
from lading.cli.registry import (
    RegistryOptions,
    connection_options,
    extra_is_there,
    read_password,
    registry_argument,
)
from lading.cli.session import Session


@verb
@registry_argument
@click.option("-u", "--username", "name", metavar="NAME", help="Who to be there.")
@click.option("-p", "--password", metavar="PASSWORD", help="Others on this machine can see it.")
@click.option("--password-stdin", "from_stdin", is_flag=True, help="Read it from standard input.")
@connection_options
def command(
    session: Session,
    host: str,
    name: str | None,
    password: str | None,
    *,
    from_stdin: bool,
    registry: RegistryOptions,
) -> None:
    """Keep credentials for a registry.

    They are tried there first. They are kept where docker and podman find them, too, by the
    credential helper that is configured for HOST, else in a file.
    """
    with extra_is_there():
        from lading.oci.access.credentials import Credential, FileCredentials  # noqa: PLC0415 - not for `--help`
        from lading.oci.access.login import try_login  # noqa: PLC0415 - ditto
        from lading.oci.transport.http import Http  # noqa: PLC0415 - ditto
    name, password = _told(name, password, from_stdin=from_stdin)
    credential = Credential(name, password)
    http = Http()
    try:
        is_tried = try_login(host, credential, hosts=registry.hosts(), http=http)
    finally:
        http.close()
    file, helper = FileCredentials(file=registry.authfile).keep(host, credential)
    session.kept = lambda: f"the credentials are kept; `lading logout {host}` forgets them"
    say(
        f"logged in to {host} as {name!r}"
        if is_tried
        else f"{host} asks nobody for credentials, so that those of {name!r} are kept untried"
    )
    if helper is None:
        say(
            f"the password is in {file}, as plain text for whoever may read that; a credential"
            " helper, named there as credsStore, keeps it better"
        )


def _told(name: str | None, password: str | None, *, from_stdin: bool) -> tuple[str, str]:
    """Who to be, and the password, asked for on the terminal where there is one."""
    if password is not None and from_stdin:
        raise _usage("Choose one of --password and --password-stdin")
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if name is None:
        if from_stdin or not is_terminal:
            raise _usage("Name who to be with --username")
        name = click.prompt("Username", err=True)
    if ":" in name:
        # RFC 7617: what is after the first colon is the password.
        raise _usage("A username has no colon")
    if from_stdin:
        return name, read_password()
    if password is not None:
        say("others on this machine can see a password on the command line; use --password-stdin")
    elif is_terminal:
        password = click.prompt("Password", hide_input=True, err=True)
    if not password:
        raise _usage("Give the password with --password-stdin")
    return name, password


def _usage(sentence: str) -> click.UsageError:
    return click.UsageError(sentence, click.get_current_context())
