"""Packages that only some installations have, and what to say where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, *packages: str) -> Iterator[None]:
    """Import what an extra brings; a missing package is still an `ImportError`, with a remedy."""
    try:
        yield
    except ImportError as error:
        package = error.name or packages[0]  # psycopg names none where it lacks its library
        if package.partition(".")[0] not in packages:
            raise
        raise ImportError(
            f"metadata needs the package {package}, which is not here; run:"
            f" pip install 'lading[{name}]'",
            name=package,
        ) from error
