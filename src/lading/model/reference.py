"""Reference: where an image lives, as people type it.

    redis                             docker.io/library/redis:latest
    ghcr.io/me/model@sha256:…         that one, whatever its tags
    localhost:5000/a/b:1.0            a port makes the first part a host
    [::1]:5000/a                      and so do brackets
    docker://quay.io/a/b              as skopeo writes it

The grammar is the one of distribution's `reference` package.
"""

import re
from typing import NamedTuple, Self

from lading.errors import InvalidDigest, InvalidReference
from lading.model.digest import Digest

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
_OLD_HOST = "index.docker.io"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")
_WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_WORD}(?:/{_WORD})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}")
NAME_LIMIT = 255
"""Characters of host and repository together."""


class Reference(NamedTuple):
    """A repository at a registry, and a tag or a digest in it; with both, the digest counts."""

    host: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what somebody typed, filling in what goes without saying."""
        rest = text.removeprefix("docker://")
        rest, at, digest_text = rest.partition("@")
        digest = _digest(text, digest_text) if at else None
        tag: str | None = None
        start = rest.rfind("/") + 1
        # The last part alone has a tag; before it a colon belongs to a port.
        if start > 0 or not rest.startswith("["):
            name, colon, tag_text = rest[start:].partition(":")
            if colon:
                tag, rest = tag_text, rest[:start] + name
                if not _TAG.fullmatch(tag):
                    raise InvalidReference(text, f"{tag[:80]!r} is no tag")
        first, slash, path = rest.partition("/")
        if slash and _is_host(first):
            host, repository = first, path
        else:
            host, repository = DEFAULT_HOST, rest
        if host == _OLD_HOST:
            host = DEFAULT_HOST
        is_bare = not slash and tag is None and digest is None
        _check(text, host, repository, is_bare=is_bare)
        if host == DEFAULT_HOST and "/" not in repository:
            repository = f"library/{repository}"
        if tag is None and digest is None:
            tag = DEFAULT_TAG
        return cls(host, repository, tag, digest)

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def object(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def at(self, digest: Digest) -> "Reference":
        """The same repository, at a digest and under no tag."""
        return Reference(self.host, self.repository, None, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def _digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidDigest:
        raise InvalidReference(text, f"{digest[:80]!r} is no digest") from None


def _is_host(first: str) -> bool:
    return any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower()


def _check(text: str, host: str, repository: str, *, is_bare: bool) -> None:
    if not _HOST.fullmatch(host):
        raise InvalidReference(text, f"{host[:80]!r} is no host")
    if not _REPOSITORY.fullmatch(repository):
        if repository != repository.lower() and _REPOSITORY.fullmatch(repository.lower()):
            raise InvalidReference(text, "a repository is in lower case")
        raise InvalidReference(text, f"{repository[:80]!r} is no repository")
    if is_bare and _HEX.fullmatch(repository):
        raise InvalidReference(text, "64 hex digits are a digest; write repository@sha256:…")
    if len(host) + 1 + len(repository) > NAME_LIMIT:
        raise InvalidReference(text, f"it is longer than {NAME_LIMIT} characters")
