"""What one run of the command knows: where it works, and what to say if it is stopped."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lading.errors import InvalidArgument

if TYPE_CHECKING:
    from lading.content.catalog import Catalog
    from lading.content.store import ContentStore
    from lading.rpc.client.catalog import RemoteCatalog
    from lading.stores.local.store import LocalStore

DEFAULT_NAMESPACE = "default"


class Session:
    """One run: filled by the global options, read by the verbs."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        """--root, --address, --metadata and --namespace as the command line has them.

        A resume repeats them.
        """
        self.debug = False
        self.kept: Callable[[], str] = lambda: "nothing was changed"
        """What a signal leaves behind, and how to go on, for the sentence that ends the run."""
        self._metadata: Catalog | None = None
        self._remote: RemoteCatalog | None = None

    @property
    def address(self) -> str | None:
        """Where the daemon listens that this run works through; None for one that needs none."""
        return address_of(self.given, os.environ)

    @property
    def root(self) -> str:
        """The folder of the content store."""
        return root_of(self.given.get("root"), os.environ)

    @property
    def namespace(self) -> str:
        """The namespace that the verb works in."""
        return self._chosen("namespace") or DEFAULT_NAMESPACE

    @property
    def database(self) -> str:
        """The address of the database, whether or not it is there."""
        own = os.path.join(os.path.abspath(self.root), "metadata.db")  # noqa: PTH100, PTH118 - as in `root_of`
        return self._chosen("metadata") or f"sqlite:///{own}"

    @property
    def has_database(self) -> bool:
        """Whether the database is there. One on a server is taken to be; a daemon has one."""
        if self.address is not None:
            return True
        scheme, _, path = self.database.partition(":///")
        return scheme != "sqlite" or os.path.exists(path)  # noqa: PTH110 - as in `root_of`

    def content(self) -> "LocalStore":
        """Open the content store. Nothing is made on disk before the first write."""
        from lading.stores.local.store import LocalStore  # noqa: PLC0415 - not for `--help`

        return LocalStore(self.root)

    def store(self, *, makes: bool = False) -> "ContentStore":
        """Open what a verb works on: the namespace, or the content store where there is none.

        A root without a database is the namespace `default`, and any other one is empty there.
        A verb that `makes` things makes a database for who names a namespace or a database.
        Through a daemon, it is the namespace always.
        """
        chosen = self._chosen("namespace") or self._chosen("metadata")
        metadata = self.metadata(makes=makes and bool(chosen))
        if metadata is not None:
            return metadata.namespace(self.namespace)
        if self.namespace == DEFAULT_NAMESPACE:
            return self.content()
        from lading.stores.local.store import LocalStore  # noqa: PLC0415 - not for `--help`

        return LocalStore(os.path.join(self.root, "metadata.db", "none"))  # noqa: PTH118 - a folder that is not there

    def metadata(self, *, makes: bool = False, rebuilds: bool = False) -> "Catalog | None":
        """Open the metadata; None where there is no database and this does not make one."""
        if self.address is not None:
            return self.remote()
        if self._metadata is None and (makes or self.has_database):
            from lading.cli.database import opened  # noqa: PLC0415 - this loads what speaks SQL

            self._metadata = opened(self, rebuilds=rebuilds)
        return self._metadata

    def remote(self) -> "RemoteCatalog":
        """Open the connection to the daemon."""
        assert self.address is not None
        if self._remote is None:
            from lading.cli.daemon import connected  # noqa: PLC0415 - this loads what speaks gRPC

            self._remote = connected(self.address)
        return self._remote

    def made_metadata(self, *, rebuilds: bool = False) -> "Catalog":
        """Open the metadata, which this makes where there is none."""
        metadata = self.metadata(makes=True, rebuilds=rebuilds)
        assert metadata is not None
        return metadata

    def words(self, *words: str) -> list[str]:
        """Begin a command line that works in the same place."""
        options = [part for name, value in self.given.items() for part in (f"--{name}", value)]
        return ["lading", *options, *words]

    def close(self) -> None:
        """Let go of the database, or of the daemon. Safe to call twice."""
        if self._remote is not None:
            self._remote.close()
        if self._metadata is not None:
            self._metadata.close()

    def _chosen(self, name: str) -> str | None:
        return self.given.get(name) or os.environ.get(f"LADING_{name.upper()}") or None


def address_of(given: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    """Choose the daemon; None where the root is worked on directly.

    What the command line says comes before the environment, and containerd's own variable, which
    is there for `ctr`, last of all.
    """
    if "address" in given:
        both = next((name for name in ("root", "metadata") if name in given), None)
        if both is not None:
            raise InvalidArgument(f"--address and --{both} are two places; choose one")
        return given["address"]
    if "root" in given or "metadata" in given:
        return None
    ours = environment.get("LADING_ADDRESS")
    if ours:
        return ours
    if environment.get("LADING_ROOT") or environment.get("LADING_METADATA"):
        return None
    return environment.get("CONTAINERD_ADDRESS") or None


def root_of(given: str | None, environment: Mapping[str, str]) -> str:
    """Choose the root: as given, else `LADING_ROOT`, else a folder of this user's data."""
    chosen = given if given is not None else environment.get("LADING_ROOT")
    if chosen:
        return chosen
    data = environment.get("XDG_DATA_HOME", "")
    # The XDG rules say that a relative path here counts as none.
    if not os.path.isabs(data):  # noqa: PTH117 - pathlib costs milliseconds that `--help` can spare
        data = os.path.expanduser("~/.local/share")  # noqa: PTH111 - ditto
    return os.path.join(data, "lading")  # noqa: PTH118 - ditto
