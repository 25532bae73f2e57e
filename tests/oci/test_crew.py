"""Crew: several things at once, and an end for all of them together."""

import threading
from datetime import timedelta

import pytest

from lading.errors import ConnectionFailed, NotFound
from lading.oci.crew import ENDING_LIMIT, Crew, Stopped
from lading.oci.progress import Resolved, nobody
from lading.oci.transport.http import Http
from lading.oci.transport.patience import Patience
from tests.support.lies import BEFORE, Stall
from tests.support.lying import lying
from tests.support.registry import digest, image

STEP = Resolved("redis", None)


def crew(progress=nobody, *, ending=ENDING_LIMIT, **patience):
    return Crew(progress, Patience(**patience), ending=ending)


def test_what_came_of_each_is_in_the_order_of_the_items():
    meeting = threading.Barrier(2)

    def do(item):
        if item < 2:  # two at once, and the first is done last
            meeting.wait(10)
        return item * 10

    with crew() as found:
        assert found.work(do, range(9), at_once=2) == [0, 10, 20, 30, 40, 50, 60, 70, 80]


def test_nothing_to_do_is_done():
    with crew() as found:
        assert found.work(str, (), at_once=4) == []


def test_no_more_than_so_many_work_at_once():
    working, most, guard = 0, 0, threading.Lock()

    def do(item):
        nonlocal working, most
        with guard:
            working += 1
            most = max(most, working)
        with guard:
            working -= 1

    with crew() as found:
        found.work(do, range(100), at_once=3)
    assert 1 <= most <= 3


def test_the_first_failure_stops_the_others_and_is_raised():
    begun = threading.Barrier(2)

    def do(item):
        begun.wait(10)
        if item == "bad":
            raise NotFound("bad")
        with pytest.raises(Stopped):
            patient.patience.sleep(3600)
        patient.check()

    patient = crew()
    with pytest.raises(NotFound, match="bad"), patient:
        patient.work(do, ["bad", "slow"], at_once=2)


def test_what_will_not_go_away_says_more_than_what_may():
    begun = threading.Barrier(2)
    failing = crew()

    def do(item):
        begun.wait(10)
        if item == "link":
            raise ConnectionFailed("registry.example", "reset")
        with pytest.raises(Stopped):
            failing.patience.sleep(3600)
        raise NotFound("layer")

    with pytest.raises(NotFound), failing:
        failing.work(do, ["link", "layer"], at_once=2)


def test_a_signal_is_never_lost_over_a_failure():
    begun = threading.Barrier(2)
    failing = crew()

    def do(item):
        begun.wait(10)
        if item == "layer":
            raise NotFound("layer")
        with pytest.raises(Stopped):
            failing.patience.sleep(3600)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), failing:
        failing.work(do, ["layer", "signal"], at_once=2)


def test_what_failed_because_of_the_stop_is_not_raised():
    begun = threading.Barrier(2)
    failing = crew()

    def do(item):
        begun.wait(10)
        if item == "full":
            raise OSError("full")
        with pytest.raises(Stopped):
            failing.patience.sleep(3600)
        raise ConnectionFailed("registry.example", "cut")

    with pytest.raises(OSError, match="full"), failing:
        failing.work(do, ["full", "cut"], at_once=2)


def test_of_two_failures_that_say_as_much_the_first_is_raised():
    begun = threading.Barrier(2)
    failing = crew()

    def do(item):
        begun.wait(10)
        if item == "second":
            with pytest.raises(Stopped):
                failing.patience.sleep(3600)
        raise NotFound(item)

    with pytest.raises(NotFound, match="first"), failing:
        failing.work(do, ["first", "second"], at_once=2)


def test_items_that_nobody_has_begun_are_left_when_it_stops():
    begun = threading.Barrier(2)
    done = []
    failing = crew()

    def do(item):
        done.append(item)
        begun.wait(10)
        if item == 0:
            raise NotFound(item)
        with pytest.raises(Stopped):
            failing.patience.sleep(3600)

    with pytest.raises(NotFound), failing:
        failing.work(do, range(100), at_once=2)
    assert sorted(done) == [0, 1]


def test_an_error_in_the_leader_stops_all():
    begun = threading.Event()
    ended = threading.Event()
    led = crew()

    def do(item):
        begun.set()
        try:
            led.patience.sleep(3600)
        finally:
            ended.set()

    def interrupt():
        assert begun.wait(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), led:
        led.work(do, [1], at_once=1, meanwhile=interrupt, every=timedelta(0))
    assert ended.is_set()


def test_the_leader_has_something_to_do_meanwhile():
    enough = threading.Event()
    calls = []

    def meanwhile():
        calls.append(threading.current_thread())
        if len(calls) == 3:
            enough.set()

    with crew() as led:
        led.work(
            lambda _: enough.wait(10),
            [1],
            at_once=1,
            meanwhile=meanwhile,
            every=timedelta(milliseconds=1),
        )
    assert set(calls) == {threading.current_thread()}


def test_who_is_told_of_progress_is_told_one_step_at_a_time():
    meeting = threading.Barrier(2)
    alone = []

    def progress(step):
        try:
            meeting.wait(0.05)
        except threading.BrokenBarrierError:
            alone.append(step)

    with crew(progress) as told:
        told.work(lambda _: told.tell(STEP), range(2), at_once=2)
    assert len(alone) == 2


@pytest.mark.parametrize("error", [ValueError("enough"), KeyboardInterrupt()])
def test_who_raises_when_told_of_progress_stops_all(error):
    begun = threading.Barrier(2)

    def progress(step):
        raise error

    failing = crew(progress)

    def do(item):
        begun.wait(10)
        if item == "tell":
            failing.tell(STEP)
        failing.patience.sleep(3600)

    with pytest.raises(type(error)) as raised, failing:
        failing.work(do, ["tell", "wait"], at_once=2)
    assert raised.value is error


def test_nobody_is_told_any_more_once_it_is_stopped():
    steps = []
    with crew(steps.append) as stopped:
        stopped.stop()
        with pytest.raises(Stopped):
            stopped.tell(STEP)
    assert steps == []


def test_a_pause_is_the_one_that_was_given():
    pauses = []
    with crew(sleep=pauses.append) as patient:
        patient.patience.sleep(7)
        patient.stop()
        with pytest.raises(Stopped):
            patient.patience.sleep(8)
    assert pauses == [7, 8]


@pytest.mark.parametrize("when", ["after", "before"])
def test_a_connection_that_stands_still_is_cut(when):
    layer = image({"a": b"x" * 1000})
    with lying({"a:1": layer}, faults={"blobs": [Stall(10)]}) as registry:
        cut = crew()
        http = Http()
        response = http.request("GET", f"{registry.url}/v2/a/blobs/{list(layer.blobs)[2]}")
        received = b""
        while len(received) < 10:
            received += response.read1(10)
        if when == "before":
            cut.stop()
            with pytest.raises(Stopped):
                cut.watch(response)
        else:
            cut.watch(response)
            threading.Timer(0, cut.stop).start()
            with pytest.raises(ConnectionFailed):
                response.read1(10)
        response.close()
        http.close()
        with cut:
            pass


@pytest.mark.parametrize("when", ["after", "before"])
def test_nobody_waits_any_longer_for_an_answer_to_begin(when):
    layer = image({"a": b"x"})
    with lying({"a:1": layer}, faults={"blobs": [Stall(BEFORE)]}) as registry:
        led, http = crew(), Http(Patience(idle=timedelta(hours=1)))
        failures = []

        def ask(item):
            if when == "before":
                led.stop()
            try:
                http.request("GET", f"{registry.url}/v2/a/blobs/{digest(layer.layers[0])}")
            except ConnectionFailed as failure:
                failures.append(failure)
                raise

        def interrupt():
            if registry.asked("GET blobs"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt if when == "after" else Stopped), led:
            led.work(ask, [1], at_once=1, meanwhile=interrupt, every=timedelta(milliseconds=1))
        assert len(failures) == 1
        assert not any(thread.is_alive() for thread in led._threads)
        http.close()


def test_a_thread_that_does_not_come_back_is_not_waited_for():
    begun, released = threading.Event(), threading.Event()

    def do(item):
        begun.set()
        released.wait(60)

    def interrupt():
        assert begun.wait(10)
        raise KeyboardInterrupt

    led = crew(ending=timedelta(milliseconds=10))
    with pytest.raises(KeyboardInterrupt), led:
        led.work(do, [1], at_once=1, meanwhile=interrupt, every=timedelta(0))
    released.set()
    for thread in led._threads:
        thread.join()
