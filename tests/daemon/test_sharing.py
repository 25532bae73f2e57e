"""Children tell each other what has happened, and take each other's tickets."""

import pytest

from lading.content.events import BlobCreated, BlobDeleted, IngestProgress
from lading.daemon.sharing import SharedEvents, SharedTickets
from lading.daemon.sockets import beside
from lading.daemon.tally import Hearing, Tally
from lading.errors import NotFound
from lading.model.digest import Digest
from lading.rpc.files_service import FileSocket

DIGEST = Digest.of(b"blob")


def created(number):
    return BlobCreated("n", number, DIGEST, 4)


class Family:
    """Children of one process; what one tells the others hear, as their parent would have it."""

    def __init__(self, count):
        self.tally = Tally(count)
        self.messages = 0
        self.events = [
            SharedEvents(number, self.tally, lambda told, number=number: self._told(number, told))
            for number in range(count)
        ]

    def _told(self, teller, message):
        self.messages += 1
        for number, events in enumerate(self.events):
            if number != teller and self.tally.hears(number):
                events.hear(message)


@pytest.fixture
def family():
    return Family(3)


def waiting(stream):
    """What a stream has heard, and its end."""
    stream.close()
    return list(stream)


def test_where_nobody_listens_nobody_is_told(family):
    for events in family.events:
        assert not events.is_heard
        events.emit(created(1))
    assert family.messages == 0


def test_a_stream_in_one_child_is_heard_of_in_all_until_it_ends(family):
    stream = family.events[1].stream()
    assert all(events.is_heard for events in family.events)
    for number, events in enumerate(family.events):
        events.emit(created(number))
    assert waiting(stream) == [created(0), created(1), created(2)]
    assert not any(events.is_heard for events in family.events)


def test_an_event_is_heard_once_in_each_child_and_goes_no_further(family):
    streams = [events.stream() for events in family.events]
    family.events[0].emit(created(1))
    assert [waiting(stream) for stream in streams] == [[created(1)]] * 3
    assert family.messages == 1


def test_who_counts_is_told_of_everything_and_of_new_blobs_some_at_a_time(family):
    counted = []
    with family.events[0].subscribe(counted.append):
        teller = family.events[1]
        # A large event that nobody streams need not be made.
        assert not teller.is_heard
        emitted = [created(number) for number in range(100)]
        for event in emitted:
            teller.emit(event)
        assert 0 < family.messages < 10
        teller.catch_up()
        assert counted == emitted
        teller.emit(created(100))
        teller.emit(BlobDeleted("n", 101, DIGEST))  # which makes a collection due, and waits not
        assert counted[100:] == [created(100), BlobDeleted("n", 101, DIGEST)]
        teller.catch_up()
        assert len(counted) == 102


def test_a_stream_does_not_hear_what_was_before_it_though_who_counts_does(family):
    counted = []
    with family.events[0].subscribe(counted.append):
        teller = family.events[1]
        teller.emit(created(1))
        stream = family.events[0].stream()
        teller.emit(IngestProgress("n", 2, "r", 1, None))
        assert waiting(stream) == [IngestProgress("n", 2, "r", 1, None)]
    assert counted == [created(1), IngestProgress("n", 2, "r", 1, None)]


def test_a_parent_that_is_dead_fails_no_call():
    def tell(message):
        raise BrokenPipeError

    tally = Tally(2)
    tally.hear(1, Hearing.STREAMS)
    SharedEvents(0, tally, tell).emit(created(1))


def test_the_tally_of_a_dead_child_begins_anew():
    tally = Tally(2)
    for _ in range(3):
        tally.end_one(1)
    tally.hear(1, Hearing.COUNTS)
    assert (tally.over(0), tally.over(1)) == (0, 3)
    assert tally.heard_beside(0) is Hearing.COUNTS
    tally.forget(1)
    assert (tally.over(1), tally.hears(1)) == (0, False)


@pytest.fixture
def tickets(folder):
    """Those of two children, each with its socket."""
    path = folder / "lading.sock"
    both = [SharedTickets(number, [path]) for number in range(2)]
    sockets = [FileSocket(str(beside(path, number)), each) for number, each in enumerate(both)]
    with sockets[0], sockets[1]:
        yield both
    for each in both:
        each.close()


def test_a_ticket_is_taken_by_any_child_once_and_its_file_stands_where_it_stood(tickets, folder):
    (folder / "file").write_bytes(b"skipped, taken")
    for taker in tickets:
        file = (folder / "file").open("rb", buffering=0)
        file.seek(9)
        ticket = tickets[0].given(file)
        with taker.taken(ticket) as taken:
            assert taken.read() == b"taken"
        for each in tickets:
            with pytest.raises(NotFound):
                each.taken(ticket)


@pytest.mark.parametrize("ticket", ["", "00", "01", "ff" * 16, "01" * 16, "0g" * 16, "é" * 32])
def test_what_is_no_ticket_is_nobodys(tickets, ticket):
    for each in tickets:
        with pytest.raises(NotFound):
            each.taken(ticket)
