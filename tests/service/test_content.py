"""The content service, call by call, against containerd's behaviour."""

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from lading.model.digest import Digest
from lading.rpc.protos import content_pb2 as m
from lading.rpc.protos.content_pb2 import COMMIT, STAT, WRITE

CONTENT = "/containerd.services.content.v1.Content/"
ONE = Digest.of(b"one")
EMPTY = Digest.of(b"")


def info(service, digest, **where):
    return service.unary(CONTENT + "Info", m.InfoRequest(digest=digest), m.InfoResponse, **where)


def put(service, data, *, ref="r", labels=None, **where):
    request = m.WriteContentRequest(action=COMMIT, ref=ref, data=data, labels=labels or {})
    return list(service.write([request], **where))


def write(service, *requests, **where):
    return list(service.write(requests, **where))


def refused(call):
    with pytest.raises(grpc.RpcError) as failure:
        call()
    return failure.value.code(), failure.value.details()


def ingest(service, ref="r"):
    return service.unary(CONTENT + "Status", m.StatusRequest(ref=ref), m.StatusResponse).status


# Info, Update, Delete


def test_info_tells_of_a_blob(service):
    put(service, b"one", labels={"a": "b"})
    found = info(service, ONE).info
    assert (found.digest, found.size, dict(found.labels)) == (ONE, 3, {"a": "b"})
    assert found.created_at.ToNanoseconds() == found.updated_at.ToNanoseconds() > 0


@pytest.mark.parametrize("text", ["", "x", "sha256:zz", "md5:" + 32 * "0", ONE.upper()])
def test_a_digest_that_is_none_is_an_invalid_argument(service, text):
    assert refused(lambda: info(service, text))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_blob_that_is_not_there_is_not_found(service):
    code, text = refused(lambda: info(service, ONE))
    assert code is grpc.StatusCode.NOT_FOUND
    assert text == f"{ONE}: not found"


def test_a_call_without_a_namespace_fails_a_precondition(service):
    code, text = refused(lambda: info(service, ONE, namespace=None))
    assert (code, text) == (grpc.StatusCode.FAILED_PRECONDITION, "namespace is required")


@pytest.mark.parametrize("name", ["a/b", "-a", "a" * 77, "a..b"])
def test_a_namespace_that_is_none_is_an_invalid_argument(service, name):
    assert (
        refused(lambda: info(service, ONE, namespace=name))[0] is grpc.StatusCode.INVALID_ARGUMENT
    )


def test_one_namespace_sees_nothing_of_another(service):
    put(service, b"one", namespace="a")
    assert refused(lambda: info(service, ONE, namespace="b"))[0] is grpc.StatusCode.NOT_FOUND


def test_a_pinned_listener_is_in_its_namespace_whatever_the_caller_says(serve):
    service = serve(pinned="containerd")
    put(service, b"one", namespace="other")
    assert info(service, ONE, namespace=None).info.digest == ONE
    assert ONE in service.catalog.namespace("containerd")
    assert ONE not in service.catalog.namespace("other")


def test_an_update_without_a_blob_is_an_invalid_argument_and_the_daemon_lives(service):
    call = CONTENT + "Update"
    code, _ = refused(lambda: service.unary(call, m.UpdateRequest(), m.UpdateResponse))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    put(service, b"one")


def update(service, labels, *paths):
    request = m.UpdateRequest(info=m.Info(digest=ONE, labels=labels))
    request.update_mask.paths.extend(paths)
    answer = service.unary(CONTENT + "Update", request, m.UpdateResponse)
    return dict(answer.info.labels)


def test_an_update_without_paths_replaces_all_labels(service):
    put(service, b"one", labels={"a": "1", "b": "2"})
    assert update(service, {"c": "3"}) == {"c": "3"}


def test_an_update_of_one_label_leaves_the_others_and_deletes_by_absence(service):
    put(service, b"one", labels={"a": "1", "b": "2"})
    assert update(service, {"c": "3"}, "labels.a", "labels.c") == {"b": "2", "c": "3"}


def test_labels_as_a_whole_replace_all(service):
    put(service, b"one", labels={"a": "1"})
    assert update(service, {"c": "3"}, "labels", "labels.c") == {"c": "3"}


@pytest.mark.parametrize("path", ["size", "created_at", "", "label.x"])
def test_a_field_that_cannot_be_updated_is_an_invalid_argument(service, path):
    put(service, b"one")
    assert refused(lambda: update(service, {}, path))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_deleted_blob_is_gone_and_not_found_the_second_time(service):
    put(service, b"one")
    delete = CONTENT + "Delete"
    request = m.DeleteContentRequest(digest=ONE)
    service.unary(delete, request, Empty)
    assert refused(lambda: service.unary(delete, request, Empty))[0] is grpc.StatusCode.NOT_FOUND


# List


@pytest.mark.slow
def test_blobs_are_listed_in_pages_of_a_hundred(service):
    namespace = service.catalog.namespace("default")
    with namespace.batch() as batch:
        for number in range(251):
            batch.add(b"%d" % number)
    pages = service.stream(CONTENT + "List", m.ListContentRequest(), m.ListContentResponse)
    assert [len(page.info) for page in pages] == [100, 100, 51]


def test_filters_choose_and_a_bad_one_is_an_invalid_argument(service):
    put(service, b"one", labels={"a": "1"})
    put(service, b"two", ref="s")

    def listed(*filters):
        request = m.ListContentRequest(filters=filters)
        pages = service.stream(CONTENT + "List", request, m.ListContentResponse)
        return [each.digest for page in pages for each in page.info]

    assert listed("labels.a==1") == [ONE]
    assert len(listed()) == 2
    assert refused(lambda: listed("a=b"))[0] is grpc.StatusCode.INVALID_ARGUMENT


# Read


def read(service, offset=0, size=0, digest=None):
    request = m.ReadContentRequest(digest=digest or ONE, offset=offset, size=size)
    pieces = service.stream(CONTENT + "Read", request, m.ReadContentResponse)
    return [(piece.offset, piece.data) for piece in pieces]


@pytest.mark.parametrize(
    ("offset", "size", "data"),
    [
        (0, 0, b"one"),
        (1, 0, b"ne"),
        (0, 2, b"on"),
        (1, 99, b"ne"),
        (-5, -5, b"one"),
        (2, 1 << 62, b"e"),
    ],
)
def test_a_part_of_a_blob_is_read(service, offset, size, data):
    put(service, b"one")
    assert read(service, offset, size) == [(0, data)]


def test_reading_at_the_end_gives_nothing_and_beyond_it_is_out_of_range(service):
    put(service, b"one")
    assert read(service, 3) == []
    assert refused(lambda: read(service, 4))[0] is grpc.StatusCode.OUT_OF_RANGE
    assert refused(lambda: read(service, (1 << 63) - 1))[0] is grpc.StatusCode.OUT_OF_RANGE


def test_offsets_of_what_is_read_count_from_the_start_of_the_read(service):
    data = bytes(range(256)) * (5 << 12)
    digest = service.catalog.namespace("default").add(data).digest
    pieces = read(service, 1000, digest=digest)
    assert [offset for offset, _ in pieces] == [0, 2 << 20, 4 << 20]
    assert b"".join(piece for _, piece in pieces) == data[1000:]


# Write


def test_one_message_is_a_whole_ingest_and_its_answer_comes_twice(service):
    first, second = put(service, b"one")
    assert first == second
    assert (first.action, first.offset, first.digest) == (COMMIT, 3, ONE)
    assert info(service, ONE).info.size == 3


def test_a_first_message_without_a_ref_is_an_invalid_argument(service):
    code, text = refused(lambda: write(service, m.WriteContentRequest(data=b"x")))
    assert (code, text) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "first message must have a reference",
    )


def test_a_stream_that_ends_before_its_first_message_is_an_invalid_argument(service):
    assert refused(lambda: write(service))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stat_tells_of_the_ingest_and_the_last_answer_comes_twice(service):
    first, second = write(service, m.WriteContentRequest(action=STAT, ref="r", total=9))
    assert first == second
    assert (first.action, first.offset, first.total, first.digest) == (STAT, 0, 9, EMPTY)
    assert first.started_at.ToNanoseconds() > 0


def test_bytes_are_kept_when_the_client_stops_and_the_next_stream_goes_on(service):
    write(service, m.WriteContentRequest(action=WRITE, ref="r", data=b"on"))
    assert ingest(service).offset == 2
    answers = write(
        service,
        m.WriteContentRequest(action=STAT, ref="r"),
        m.WriteContentRequest(action=COMMIT, offset=2, data=b"e", expected=ONE),
    )
    assert [each.offset for each in answers] == [2, 3, 3]


def test_a_write_at_offset_zero_begins_anew(service):
    answers = write(
        service,
        m.WriteContentRequest(action=WRITE, ref="r", data=b"wrong"),
        m.WriteContentRequest(action=WRITE, data=b"on"),
        m.WriteContentRequest(action=COMMIT, offset=2, data=b"e"),
    )
    assert [each.offset for each in answers] == [5, 2, 3, 3]
    assert answers[-1].digest == ONE


@pytest.mark.parametrize("offset", [1, 3, -1, (1 << 63) - 1, -(1 << 63)])
def test_a_write_elsewhere_is_out_of_range_and_changes_nothing(service, offset):
    code, _ = refused(
        lambda: write(
            service,
            m.WriteContentRequest(action=WRITE, ref="r", data=b"on"),
            m.WriteContentRequest(action=WRITE, offset=offset, data=b"e"),
        )
    )
    assert code is grpc.StatusCode.OUT_OF_RANGE
    assert ingest(service).offset == 2


def test_a_commit_that_forgets_its_offset_is_refused_and_loses_nothing(service):
    code, _ = refused(
        lambda: write(
            service,
            m.WriteContentRequest(action=WRITE, ref="r", data=b"one"),
            m.WriteContentRequest(action=COMMIT),
        )
    )
    assert code is grpc.StatusCode.OUT_OF_RANGE
    assert ingest(service).offset == 3


def test_a_commit_of_the_empty_blob_at_offset_zero_is_meant(service):
    answers = write(
        service,
        m.WriteContentRequest(action=WRITE, ref="r", data=b"one"),
        m.WriteContentRequest(action=COMMIT, expected=EMPTY),
    )
    assert answers[-1].digest == EMPTY


@pytest.mark.parametrize("facts", [{"expected": ONE}, {"total": 4}])
def test_a_commit_that_does_not_fit_fails_a_precondition_and_keeps_the_bytes(service, facts):
    code, _ = refused(
        lambda: write(
            service, m.WriteContentRequest(action=COMMIT, ref="r", data=b"two!!", **facts)
        )
    )
    assert code is grpc.StatusCode.FAILED_PRECONDITION


def test_a_failed_commit_can_be_tried_again(service):
    refused(
        lambda: write(
            service,
            m.WriteContentRequest(action=WRITE, ref="r", data=b"one"),
            m.WriteContentRequest(action=COMMIT, offset=3, expected=EMPTY),
        )
    )
    assert ingest(service).offset == 3
    answers = write(
        service,
        m.WriteContentRequest(action=STAT, ref="r"),
        m.WriteContentRequest(action=COMMIT, offset=3),
    )
    assert answers[-1].digest == ONE


def test_what_is_there_already_exists_at_opening_in_between_and_at_the_end(service):
    put(service, b"one")
    exists = grpc.StatusCode.ALREADY_EXISTS
    opening = m.WriteContentRequest(action=STAT, ref="a", expected=ONE)
    assert refused(lambda: write(service, opening))[0] is exists
    between = (
        m.WriteContentRequest(action=WRITE, ref="b", data=b"o"),
        m.WriteContentRequest(action=WRITE, offset=1, data=b"n", expected=ONE),
    )
    assert refused(lambda: write(service, *between))[0] is exists
    assert refused(lambda: put(service, b"one", ref="c"))[0] is exists
    found = service.unary(CONTENT + "ListStatuses", m.ListStatusesRequest(), m.ListStatusesResponse)
    assert not found.statuses


@pytest.mark.parametrize("expected", ["garbage", "sha256:zz", "sha256"])
def test_an_expected_digest_that_is_none_is_an_invalid_argument_whenever_it_comes(
    service, expected
):
    bad = grpc.StatusCode.INVALID_ARGUMENT
    one = m.WriteContentRequest(action=COMMIT, ref="r", data=b"x", expected=expected)
    assert refused(lambda: write(service, one))[0] is bad
    later = (
        m.WriteContentRequest(action=WRITE, ref="r", data=b"x"),
        m.WriteContentRequest(action=COMMIT, offset=1, expected=expected),
    )
    assert refused(lambda: write(service, *later))[0] is bad
    assert ingest(service).offset == 1


def test_an_unknown_action_is_an_invalid_argument_and_changes_nothing(service):
    requests = (
        m.WriteContentRequest(action=WRITE, ref="r", data=b"x"),
        m.WriteContentRequest(action=7, offset=1, data=b"y"),
    )
    assert refused(lambda: write(service, *requests))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert ingest(service).offset == 1


def test_a_ref_in_use_is_unavailable(service, feed):
    messages, stream = feed(service, m.WriteContentRequest(action=STAT, ref="r"))
    next(stream)
    code, text = refused(lambda: write(service, m.WriteContentRequest(action=STAT, ref="r")))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "locked" in text
    messages.close()


def test_a_ref_is_free_as_soon_as_its_stream_has_ended(service):
    for number in range(20):
        answers = write(
            service, m.WriteContentRequest(action=WRITE, ref="r", offset=number, data=b"x")
        )
        assert answers[-1].offset == number + 1


def test_an_abort_under_a_stream_ends_it_with_aborted(service, feed):
    messages, stream = feed(service, m.WriteContentRequest(action=WRITE, ref="r", data=b"on"))
    next(stream)
    service.unary(CONTENT + "Abort", m.AbortRequest(ref="r"), Empty)
    messages.put(m.WriteContentRequest(action=COMMIT, offset=2, data=b"e"))
    assert refused(lambda: next(stream))[0] is grpc.StatusCode.ABORTED
    again = refused(lambda: service.unary(CONTENT + "Abort", m.AbortRequest(ref="r"), Empty))
    assert again[0] is grpc.StatusCode.NOT_FOUND


def test_answers_have_the_digest_so_far_while_it_costs_nothing(service):
    answers = write(service, m.WriteContentRequest(action=WRITE, ref="r", data=b"one"))
    assert answers[0].digest == ONE
    large = write(service, m.WriteContentRequest(action=WRITE, ref="s", data=bytes(2 << 20)))
    assert large[0].digest == ""


def test_a_sync_makes_the_bytes_durable_and_answers_as_a_stat(service):
    answers = write(
        service,
        m.WriteContentRequest(action=WRITE, ref="r", data=b"one"),
        m.WriteContentRequest(action=m.LADING_SYNC),
    )
    assert (answers[-1].offset, answers[-1].digest) == (3, ONE)


def test_what_comes_under_a_lease_is_held_by_it(service):
    lease = service.catalog.namespace("default").lease("l")
    put(service, b"one", lease="l")
    assert [each.id for each in lease.resources()] == [ONE]
    refusal = refused(lambda: put(service, b"two", ref="s", lease="none"))
    assert refusal[0] is grpc.StatusCode.NOT_FOUND
