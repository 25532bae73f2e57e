"""Mutations of the server of HTTP/2."""

from tests.mutations.mutation import Mutation

HTTP2 = "src/lading/rpc/http2"
CONNECTION, LEADING, OUTFLOW, OUTLET = (
    f"{HTTP2}/{name}.py" for name in ("connection", "leading", "outflow", "outlet")
)
INTAKE, STREAM, HEADERS = (f"{HTTP2}/{name}.py" for name in ("intake", "stream", "headers"))
TESTS = ("tests/http2",)

TURNS = (
    Mutation(
        "a thread that waits does not look once more before it sleeps",
        LEADING,
        "                    if not ready():  # what came before it could be woken woke it not\n",
        "                    if who:\n",
        TESTS,
    ),
    Mutation(
        "a leader that has what it waited for wakes nobody",
        LEADING,
        "            self._waiting.pop(next(iter(self._waiting))).release()\n",
        "            return\n",
        TESTS,
    ),
    Mutation(
        "a connection is left alone for ever while its one call is answered",
        LEADING,
        "                self._is_alone = False\n                self._watch()\n",
        "                self._is_alone = False\n",
        TESTS,
    ),
    Mutation(
        "a worker lingers while calls wait for one",
        f"{HTTP2}/server.py",
        "        return not self._is_stopping and not self._workers.are_wanted\n",
        "        return not self._is_stopping\n",
        ("tests/service/test_events.py",),
    ),
)

WORKING = (
    Mutation(
        "a call that may wait for the disk keeps its turn",
        STREAM,
        "        if not is_quick:\n            turns.end()\n",
        "        if is_quick is None:\n            turns.end()\n",
        TESTS,
    ),
    Mutation(
        "a thread keeps its turn while it waits for its client",
        LEADING,
        "        turns.end()\n        try:\n            while not ready():\n",
        "        try:\n            while not ready():\n",
        TESTS,
    ),
)

FLOW = (
    Mutation(
        "what comes of a call is told behind what came after it",
        INTAKE,
        "            self._tell_run(run, parts)\n            take =",
        "            take =",
        TESTS,
    ),
    Mutation(
        "a connection is hung up while another thread is sending what was said last",
        OUTLET,
        "        self.flush()  # or whoever sends just now does\n",
        "        self._hang_up()\n",
        TESTS,
    ),
    Mutation(
        "a client may send more than a call's window",
        STREAM,
        "        if self._leave < 0:\n",
        "        if self._leave < -(1 << 20):\n",
        TESTS,
    ),
    Mutation(
        "what a message takes of the connection's window is not counted",
        OUTFLOW,
        "            stream.window -= size\n            self._window -= size\n"
        "            return True\n",
        "            stream.window -= size\n            return True\n",
        TESTS,
    ),
    Mutation(
        "frames are as long as the message",
        OUTFLOW,
        "                part = min(size, self.frame_limit)\n",
        "                part = size\n",
        TESTS,
    ),
    Mutation(
        "a new first window is not given to the calls that there are",
        OUTFLOW,
        "                stream.window = _within_bounds(stream.window + more)\n",
        "                stream.window = _within_bounds(stream.window)\n",
        TESTS,
    ),
)

REFUSING = (
    Mutation(
        "headers without end are taken",
        INTAKE,
        "        if len(block) > BLOCK_LIMIT:\n",
        "        if len(block) > BLOCK_LIMIT << 10:\n",
        TESTS,
    ),
    Mutation(
        "other frames may come between headers",
        INTAKE,
        "            if self._block is not None and kind != frames.CONTINUATION:\n",
        "            if self._block is not None and kind == frames.PUSH_PROMISE:\n",
        TESTS,
    ),
    Mutation(
        "a call that was reset makes room before its handler has ended",
        CONNECTION,
        "        if stream.is_running:\n            self._touched.add(stream)\n        else:\n"
        "            self.ended(stream)\n",
        "        self._touched.add(stream)\n        self.ended(stream)\n",
        TESTS,
    ),
    Mutation(
        "headers that say the same are taken for those before a change of the table",
        HEADERS,
        "            self._known.clear()\n",
        "            pass\n",
        TESTS,
    ),
    Mutation(
        "pings that nobody reads the answers to are answered without end",
        OUTLET,
        "        if len(self._pending) > PENDING_LIMIT:\n",
        "        if len(self._pending) > PENDING_LIMIT << 20:\n",
        TESTS,
    ),
)
