"""`lading serve`: the root as a service, until a signal ends it."""

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lading.cli.database import extras_are_there
from lading.cli.options import verb
from lading.cli.outcome import Complaint, Interrupted, Outcome
from lading.cli.quantities import duration
from lading.cli.session import Session, root_of

if TYPE_CHECKING:
    from lading.daemon.settings import Settings

_FILES = 65_536


@verb
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Where to listen: unix:///PATH, or tcp://HOST:PORT with cert=, key= and client-ca= after "
    "commas. With ,namespace=NAME every call is in that namespace. May be repeated. Default: "
    "$LADING_LISTEN, else lading/lading.sock in /run for root, in $XDG_RUNTIME_DIR for others.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="LADING_CONFIG",
    metavar="FILE",
    help="Read settings from a TOML file. Flags come before it, and variables: $LADING_WORKERS.",
)
@click.option("--sharing", metavar="shared|isolated", help="Whether a digest alone gives a blob.")
@click.option("--processes", metavar="NUMBER", help="Processes that answer calls. Default: 1.")
@click.option("--workers", metavar="NUMBER", help="Calls that each listener answers at a time.")
@click.option("--grace", metavar="DURATION", help="How long calls may go on at a stop: 10s.")
@click.option(
    "--collection",
    multiple=True,
    metavar="KEY=VALUE",
    help="When to collect: pause, deletions, mutations, delay, startup or poll, as docs/service.md "
    "has them. May be repeated.",
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option("--log-format", metavar="FORMAT", help="logfmt or json.")
def command(session: Session, *, config: Path | None, **flags: object) -> Outcome:
    """Answer containerd's content API on a socket.

    Prints a line when it is ready, and logs to stderr. SIGTERM or Ctrl-C ends it: calls may go on
    for a while, and writers that are cut short keep their offset. A second one does not wait.
    """
    _check_fits(session)
    try:
        # A terminal or a supervisor that hangs up is no reason to stop.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with _extras(), extras_are_there():
            from lading.daemon.settings import of_environment, of_file, of_flags, settings  # noqa: PLC0415 - not for `--help`

            given = {name: session.given.get(name) for name in ("root", "metadata")}
            flags = {name.replace("_", "-"): value for name, value in flags.items()}
            sources = [of_flags(given | flags), of_environment(os.environ)]
            chosen = settings(
                sources if config is None else [*sources, of_file(config)],
                duration=duration,
                root=root_of(None, {}),
                runtime=os.environ.get("XDG_RUNTIME_DIR"),
            )
        _serve(chosen)
    except Interrupted:
        pass  # as was asked; what it held is closed
    return Outcome.OK


def _serve(chosen: "Settings") -> None:
    from lading.daemon.journal import keep_journal  # noqa: PLC0415 - not for `--help`

    keep_journal(chosen.log_level, chosen.log_format)
    _allow_many_files()
    if chosen.processes > 1:
        _serve_by_children(chosen)
        return
    with _extras(), extras_are_there():
        from lading.daemon.serving import Daemon  # noqa: PLC0415 - ditto

    with Daemon(chosen) as daemon:
        _tell_addresses(daemon.addresses)
        _wait_for_signal()


def _serve_by_children(chosen: "Settings") -> None:
    from lading.daemon.parent import Parent  # noqa: PLC0415 - ditto

    with contextlib.ExitStack() as running:
        with _extras(), extras_are_there():
            # It is the children that miss what is not installed.
            parent = running.enter_context(Parent(chosen))
        _tell_addresses(parent.addresses)
        parent.wait()


def _tell_addresses(addresses: Sequence[str]) -> None:
    # Whether anybody reads it is not the daemon's trouble.
    with contextlib.suppress(OSError):
        print(f"listening on {', '.join(addresses)}", flush=True)  # noqa: T201 - the one line


def _allow_many_files() -> None:
    """Have as many files as the system lets us: each client is one, and shells give few."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(most, _FILES)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _wait_for_signal() -> None:
    """Wait for what raises `Interrupted`.

    The kernel may give a signal to another thread, and then nothing would wake this one; so the
    interpreter writes a byte for each, whichever thread got it.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.settimeout(0)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            while True:
                reading.recv(1)
        finally:
            signal.set_wakeup_fd(before)


def _check_fits(session: Session) -> None:
    for name, instead in (
        ("namespace", "give a listener its own: --listen ADDRESS,namespace=NAME"),
        ("address", "say where to listen with --listen"),
    ):
        if name in session.given:
            raise Complaint(f"serve takes no --{name}; {instead}", Outcome.USAGE)


@contextlib.contextmanager
def _extras() -> Iterator[None]:
    """Say how to install what is missing of gRPC."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in {"grpc", "google", "grpc_health"}:
            raise
        raise Complaint(
            "serve needs packages that are not installed; run: pip install 'lading[metadata,rpc]'",
            Outcome.FAILED,
        ) from error
