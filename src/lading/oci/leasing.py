"""The lease of a pull: what was fetched so far is kept for the next attempt.

    pull-docker.io/library/redis:7

Its name is made of the reference, so that the next pull of that finds it. It ends with the pull
that succeeds, and a day after the last one that did not.
"""

from datetime import timedelta

from lading.content.catalog import DAY, Lease, Scope
from lading.errors import AlreadyExists, Error, FailedPrecondition, NotFound
from lading.model.reference import Reference

RENEWAL = timedelta(hours=1)
"""How often the lease of a pull that goes on is renewed."""
_TRIALS = 16


class PullLease:
    """A lease that several pulls of one reference may share. One thread opens and ends it."""

    def __init__(self, lease: Lease, *, is_ours: bool = True) -> None:
        """Take a lease that is there. One that is not ours is left to whoever has made it."""
        self.store = lease
        self._is_ours, self._is_renewable = is_ours, True
        self._created_ns = lease.record().created_ns

    def renew(self) -> None:
        """Have it end a day from now, where that can be said; its failure can wait for the next."""
        if not self._is_ours or not self._is_renewable:
            return
        try:
            self.store.renew(DAY)
        except FailedPrecondition:
            self._is_renewable = False  # containerd has no call for it
        except Error:
            return

    @property
    def has_lasted(self) -> bool:
        """Whether it has held everything that came through it, from the first on.

        Another pull of the same reference, which was done earlier, may have ended it.
        """
        try:
            return self.store.record().created_ns == self._created_ns
        except NotFound:
            return False

    def end(self) -> None:
        """End it, if it is ours and nobody else has."""
        if self._is_ours:
            try:
                self.store.end()
            except NotFound:
                return


def lease_of(scope: Scope, reference: Reference) -> PullLease:
    """The lease of a reference's pulls: the one of an earlier pull, or a new one.

    A scope that is a lease already serves as it is.
    """
    if isinstance(scope, Lease):
        return PullLease(scope, is_ours=False)
    name = f"pull-{reference}"
    for _ in range(_TRIALS):
        try:
            try:
                found = PullLease(scope.leased(name))
            except NotFound:
                return PullLease(scope.lease(name, expires_in=DAY))
            found.renew()
            if found.has_lasted:
                return found
        except (AlreadyExists, NotFound):
            continue  # somebody else has made or ended it just now
    raise FailedPrecondition(f"lease {name!r}: others make and end it all the time")
