"""Platform: what a manifest of an index is for, and which of them serves a machine.

The spellings are folded as containerd folds them: `x86_64` is `amd64`, `aarch64` is `arm64`, and
what goes without saying (`arm64/v8`, `amd64/v1`) is not said. Source: OCI image-spec 1.1, image
index; containerd's `platforms`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, Self

from lading.errors import InvalidArgument

_PARTS_LIMIT = 3
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ARCHITECTURES = {
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
}
"""Other spellings, and the variant that is in them; None if none is, so that one may be said."""
_UNSAID = {"amd64": {"v1"}, "arm64": {"8", "v8"}}
"""Variants that go without saying."""
_OLDER = {
    "arm": ("v8", "v7", "v6", "v5"),
    "amd64": ("v4", "v3", "v2", ""),
    "arm64": ("v9", ""),
}
"""Variants, the newest first: a machine of one runs what was made for those after it."""
_KNOWN = frozenset(_ARCHITECTURES) | {
    *("386", "amd64", "amd64p32", "arm", "arm64", "arm64be", "armbe", "loong64", "mips", "mips64"),
    *("mips64le", "mips64p32", "mips64p32le", "mipsle", "ppc", "ppc64", "ppc64le", "riscv"),
    *("riscv64", "s390", "s390x", "sparc", "sparc64", "wasm"),
}
_SYSTEMS = frozenset(
    {
        *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js"),
        *("linux", "macos", "nacl", "netbsd", "openbsd", "plan9", "solaris", "windows", "zos"),
    }
)


class Platform(NamedTuple):
    """An operating system and an architecture, folded."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "", os_version: str = "") -> Self:
        """Fold the parts as somebody wrote them."""
        os, architecture, variant = os.lower(), architecture.lower(), variant.lower()
        os = {"macos": "darwin"}.get(os, os)
        architecture, said = _ARCHITECTURES.get(architecture, (architecture, None))
        variant = variant if said is None else said
        if variant in _UNSAID.get(architecture, ()):
            variant = ""
        if architecture == "arm":
            variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
        return cls(os, architecture, variant, os_version)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant]`; or an architecture alone, for Linux, or a system alone,
        on this machine's.
        """
        parts = text.split("/")
        if not all(_PART.fullmatch(part) for part in parts) or len(parts) > _PARTS_LIMIT:
            raise InvalidArgument(
                f"{text!r} is no platform; write os/architecture or os/architecture/variant,"
                " such as linux/arm64"
            )
        if len(parts) == 1:
            if parts[0].lower() in _SYSTEMS:
                return cls.of(parts[0], *cls.of_this_machine()[1:3])
            if parts[0].lower() not in _KNOWN:
                raise InvalidArgument(f"{text!r} is no architecture we know; write linux/{text}")
            parts = ["linux", *parts]
        return cls.of(*parts)

    @classmethod
    def of_this_machine(cls) -> Self:
        """The platform that images for this machine have; Linux where images run in one."""
        import platform  # noqa: PLC0415 - for who asks

        return cls.of("linux", platform.machine() or "amd64")

    def served_by(self) -> Iterator["Platform"]:
        """What this machine runs, the best first."""
        yield self
        variants = _OLDER.get(self.architecture, ())
        if self.variant in variants:
            for variant in variants[variants.index(self.variant) + 1 :]:
                yield self._replace(variant=variant)
        if self.architecture == "amd64":
            yield self._replace(architecture="386", variant="")
        if self.architecture == "arm64":
            for variant in _OLDER["arm"]:
                yield self._replace(architecture="arm", variant=variant)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
