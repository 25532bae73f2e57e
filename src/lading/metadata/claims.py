"""Claims: what keeps the bytes of a digest from the collector while they are on their way in.

The collector deletes bytes outside of any transaction. So whoever brings bytes claims their digest
first; the collector passes over what is claimed, and a claim waits for a deletion that has begun. A
claim means nothing after a power cut, when nobody is on the way any more, and so is only noted.

A claim ends with the row that takes its place. One that is dropped, or outlived by a day, condemns
its digest where no row came, so that bytes of a commit that died go in the end. But not where the
bytes were there before the claim: then they are somebody else's to end.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from lading.content.store import ContentStore
from lading.database.engine import Database
from lading.database.session import Session
from lading.database.statements import Statement
from lading.errors import Unavailable
from lading.model.digest import Digest

LIFE_NS = 24 * 3600 * 1_000_000_000
"""How long a claim outlives its process."""
WAIT = timedelta(seconds=30)
_PAUSE, _DOUBT = 0.002, 0.1  # seconds: between two looks, and before the collector's life is tested

_ADD = Statement(
    "INSERT INTO claims (token, digest, expires_ns) VALUES (:token, :digest, :expires_ns)"
)
_GOING = Statement("SELECT 1 FROM condemned WHERE digest = :digest AND going = 1")
_DROP = Statement("DELETE FROM claims WHERE digest = :digest AND token = :token")
_CONDEMN = Statement(
    "INSERT INTO condemned (digest, size, going) SELECT :digest, -1, 0"
    " WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE digest = :digest) ON CONFLICT DO NOTHING"
)
_EXPIRE = (
    Statement(
        "INSERT INTO condemned (digest, size, going) SELECT DISTINCT digest, -1, 0 FROM claims"
        " WHERE expires_ns <= :now_ns AND token LIKE 'new %' ON CONFLICT DO NOTHING"
    ),
    Statement("DELETE FROM claims WHERE expires_ns <= :now_ns"),
)
_STOP = (
    Statement("DELETE FROM collecting"),
    Statement("UPDATE condemned SET going = 0 WHERE going = 1"),
)

_NEW, _OLD = "new ", "old "  # whether the bytes were missing when they were claimed

COLLECTOR = "collector"
"""The lock that a collection holds while it deletes."""


class Claim:
    """One digest, claimed. Dropped with the row that takes its place, or by `drop`."""

    def __init__(self, database: Database, digest: Digest, token: str) -> None:
        self._database, self.digest, self._token = database, digest, token

    def add(self, session: Session, expires_ns: int) -> None:
        """Stake it."""
        session.run(_ADD, token=self._token, digest=self.digest, expires_ns=expires_ns)

    def is_going(self, session: Session) -> bool:
        """Whether the collector is deleting old bytes of the digest."""
        return session.row(_GOING, digest=self.digest) is not None

    def redeem(self, session: Session) -> None:
        """End the claim in the transaction that adds its row; `Unavailable` if it has ended."""
        if not session.run(_DROP, digest=self.digest, token=self._token):
            raise Unavailable(
                f"{self.digest}: its bytes may be gone after so long; send them again"
            )

    def drop(self) -> None:
        """Give it back, and have the collector see to what was brought. Safe to call twice."""

        def drop(session: Session) -> None:
            session.run(_DROP, digest=self.digest, token=self._token)
            if self._token.startswith(_NEW):
                session.run(_CONDEMN, digest=self.digest)

        self._database.note(drop)


def claim(
    database: Database,
    digest: Digest,
    now_ns: int,
    also: Callable[[Session], object] = lambda session: None,
    *,
    content: ContentStore | None = None,
) -> Claim:
    """Claim a digest, doing `also` in the same transaction; waits for its deletion to end.

    Only a claim that is told the `content`, and finds the bytes missing there, can be held to
    account for them later.
    """
    return claim_all(database, [digest], now_ns, also, content=content)[0]


def claim_all(
    database: Database,
    digests: Iterable[Digest],
    now_ns: int,
    also: Callable[[Session], object] = lambda session: None,
    *,
    content: ContentStore | None = None,
) -> list[Claim]:
    """Claim many digests at once, or none of them; as `claim` does."""
    claims = [Claim(database, digest, _token(digest, content)) for digest in digests]

    def add(session: Session) -> list[Digest]:
        for each in claims:
            each.add(session, now_ns + LIFE_NS)
        also(session)
        return [each.digest for each in claims if each.is_going(session)]

    going = database.note(add)
    try:
        for digest in going:
            _outwait(database, digest)
    except BaseException:
        for each in claims:
            each.drop()
        raise
    return claims


def _token(digest: Digest, content: ContentStore | None) -> str:
    is_new = content is not None and digest not in content
    return f"{_NEW if is_new else _OLD}{secrets.token_hex(16)}"


def expire_claims(session: Session, now_ns: int) -> None:
    """End the claims of those who died; what they brought is condemned, unless it has a row."""
    for statement in _EXPIRE:
        session.run(statement, now_ns=now_ns)


def stop_collecting(session: Session) -> None:
    """Have a collection that is dead, or cut off from the database, delete nothing any more."""
    for statement in _STOP:
        session.run(statement)


def _outwait(database: Database, digest: Digest) -> None:
    """Wait until the collector has deleted the old bytes, or has died at it."""
    began = time.monotonic()
    while database.row(_GOING, digest=digest) is not None:
        waited = time.monotonic() - began
        if waited > WAIT.total_seconds():
            raise Unavailable(f"{digest}: the collector is deleting it and does not end; try later")
        if waited > _DOUBT:
            # If nobody holds the lock, nobody deletes. Who holds it lives.
            with contextlib.suppress(Unavailable), database.hold(COLLECTOR):
                database.note(stop_collecting)
        time.sleep(_PAUSE)
