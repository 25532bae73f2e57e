"""Any frames, cut anywhere: the server answers the next client, and no thread of it dies."""

import contextlib
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.rpc.http2 import frames
from tests.http2.peer import data, frame, message, word

FRAMES = st.one_of(
    st.builds(
        frame,
        st.integers(0, 12),
        st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF]),
        st.sampled_from([0, 1, 2, 3, 5, 7, 0x7FFF_FFFF]),
        st.binary(max_size=40),
    ),
    st.builds(
        frames.window_update,
        st.sampled_from([0, 1, 3]),
        st.integers(0, (1 << 31) - 1),
    ),
    st.builds(
        lambda key, value: frame(frames.SETTINGS, 0, 0, key.to_bytes(2, "big") + word(value)),
        st.integers(0, 8),
        st.sampled_from([0, 1, 5, 16_384, 65_535, (1 << 31) - 1, (1 << 32) - 1]),
    ),
    st.builds(
        lambda stream, body, ends: data(stream, message(body), ends=ends),
        st.sampled_from([1, 3, 5]),
        st.binary(max_size=30),
        st.booleans(),
    ),
    st.tuples(
        st.sampled_from([1, 3, 5, 7]),
        st.sampled_from(["Echo", "Each", "Huge", "Fail", "First", "Endless", "Nothing"]),
        st.booleans(),
    ),
    st.sampled_from([1, 3, 5]).map(lambda stream: frames.reset(stream, 8)),
    st.binary(max_size=12),
)


@pytest.mark.slow
def test_any_frames_are_outlived(server):
    before = {each.name for each in threading.enumerate() if "poller" in each.name}

    @settings(max_examples=300, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(FRAMES, max_size=12), st.integers(1, 4000))
    def send(parts, cut):
        with server.peer() as peer:
            said = b"".join(
                part if isinstance(part, bytes) else peer.headers(part[0], part[1], ends=part[2])
                for part in parts
            )
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(said), cut):
                    peer.send(said[at : at + cut])
        assert server.serves()

    send()
    assert server.eventually(lambda: server.is_idle and not server.server._connections)
    assert before == {each.name for each in threading.enumerate() if "poller" in each.name}
