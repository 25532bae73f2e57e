"""After a kill the tail is hashed again, and not the whole."""

import signal
from pathlib import Path

import pytest

from lading.model import hashing
from lading.stores.local.follower import STEP
from lading.stores.local.store import LocalStore
from tests.kills.child import MIB, REF, Plan
from tests.kills.killing import Account, in_new_interpreter

COUNTERS = Path("/proc/self/io")


def bytes_read():
    """How many bytes this process has asked the system for."""
    return int(COUNTERS.read_text().split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not COUNTERS.exists(), reason="nobody counts what a process reads")
@pytest.mark.skipif(hashing.why_not_saved() is not None, reason="no hash state can be kept")
@pytest.mark.parametrize("mebibytes", [21, 31])
def test_resuming_after_a_kill_reads_the_tail_and_not_the_whole(mebibytes, tmp_path):
    account = Account(b"")
    plan = Plan(str(tmp_path), "follow", 64)
    status = in_new_interpreter(plan, account, lambda account: account.offset >= mebibytes * MIB)
    assert status == -signal.SIGKILL
    store = LocalStore(tmp_path)
    before = bytes_read()
    with store.writer(REF) as writer:
        assert writer.digest
        read = bytes_read() - before
        assert writer.offset >= account.offset
        assert read <= STEP + 2 * MIB
