"""introspection.v1 and version.v1, and gRPC's health and reflection."""

import os
import uuid
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from lading.content.events import Events
from lading.rpc.calls import Watch
from lading.rpc.content_service import ContentService
from lading.rpc.methods import Dispatch
from lading.rpc.protos import introspection_pb2, version_pb2
from lading.rpc.server import Server
from lading.rpc.services import all_services
from lading.rpc.standard import Health

INTROSPECTION = "/containerd.services.introspection.v1.Introspection/"
HEALTH = "/grpc.health.v1.Health/"
CONTENT = "containerd.services.content.v1.Content"
READY = health_pb2.HealthCheckResponse.SERVING
NOT_READY = health_pb2.HealthCheckResponse.NOT_SERVING
EVERY_SERVICE = [
    "containerd.services.content.v1.Content",
    "containerd.services.events.v1.Events",
    "containerd.services.images.v1.Images",
    "containerd.services.introspection.v1.Introspection",
    "containerd.services.leases.v1.Leases",
    "containerd.services.namespaces.v1.Namespaces",
    "containerd.services.version.v1.Version",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "lading.services.collector.v1.Collector",
]


def server_of(service):
    answer = introspection_pb2.ServerResponse
    return service.unary(INTROSPECTION + "Server", Empty(), answer, namespace=None)


def plugins(service, *filters):
    request = introspection_pb2.PluginsRequest(filters=filters)
    answer = introspection_pb2.PluginsResponse
    return service.unary(INTROSPECTION + "Plugins", request, answer, namespace=None).plugins


def check(service, name=""):
    request = health_pb2.HealthCheckRequest(service=name)
    answer = health_pb2.HealthCheckResponse
    return service.unary(HEALTH + "Check", request, answer, namespace=None).status


def watch(service, name=""):
    request = health_pb2.HealthCheckRequest(service=name)
    answer = health_pb2.HealthCheckResponse
    return service.stream(HEALTH + "Watch", request, answer, namespace=None)


def ask(service, *requests):
    call = service.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    return list(call(iter(requests), timeout=30))


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def starting(service, health, tmp_path):
    """The services of `service`, on a second listener that has not said that it is ready."""
    identity = str(uuid.uuid4())
    services = all_services(service.catalog, Events(), health=health, identity=identity)
    server = Server(service.catalog, services=services, workers=4)
    address = f"unix:{tmp_path}/starting"
    server.listen(address)
    server.start()
    channel = grpc.insecure_channel(address)
    yield service._replace(address=address, server=server, channel=channel)
    channel.close()
    server.stop(0)


def test_the_server_says_who_it_is(service):
    first, second = server_of(service), server_of(service)
    assert uuid.UUID(first.uuid).version == 4
    assert first == second
    assert first.pid == os.getpid()
    assert first.pidns == Path("/proc/self/ns/pid").stat().st_ino


def test_the_identity_is_the_one_that_is_given(service, health):
    given = all_services(service.catalog, Events(), health=health, identity="x")
    (found,) = (each for each in given if each.name.endswith("Introspection"))
    assert found.methods()["Server"].run(None, iter([b""]), Watch(None)).startswith(b"\n\x01x")


def test_the_version_is_semantic_and_says_whose_it_is(service):
    answer = version_pb2.VersionResponse
    path = "/containerd.services.version.v1.Version/Version"
    found = service.unary(path, Empty(), answer, namespace=None)
    assert found.version == f"v{version('lading')}+lading"
    assert found.revision == "lading"


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["type==io.containerd.content.v1"], ["content"]),
        (["type==io.containerd.grpc.v1,id==images"], ["images"]),
        (["type==io.containerd.snapshotter.v1"], []),
        (["id==scheduler", "id==exchange"], ["scheduler", "exchange"]),
        (["platforms"], []),
    ],
)
def test_plugins_are_found_by_type_and_id(service, filters, ids):
    assert [plugin.id for plugin in plugins(service, *filters)] == ids


def test_each_service_of_containerds_is_a_plugin(service):
    served = {name.split(".")[2] for name in EVERY_SERVICE if name.startswith("containerd.")}
    found = {plugin.id for plugin in plugins(service, "type==io.containerd.grpc.v1")}
    assert served == found - {"healthcheck"}


def test_a_server_is_ready_as_a_whole_and_service_by_service(service):
    assert check(service) == check(service, CONTENT) == READY
    with pytest.raises(grpc.RpcError) as caught:
        check(service, "nobody")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_who_watches_is_told_when_the_daemon_is_ready_and_when_it_ends(starting, health):
    assert check(starting) == check(starting, CONTENT) == NOT_READY
    answers = watch(starting, CONTENT)
    assert next(answers).status == NOT_READY
    health.begin()
    assert next(answers).status == READY
    health.end()
    assert next(answers).status == NOT_READY
    answers.cancel()


def test_what_nobody_serves_is_not_watched(service):
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(service, "nobody"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.slow
def test_watching_streams_give_way_when_all_threads_are_taken(starting):
    watching = [watch(starting) for _ in range(4)]
    for each in watching:
        next(each)
    assert check(starting) == NOT_READY
    codes = []
    for each in watching:
        each.cancel()
        codes.append(each.code())
    assert grpc.StatusCode.CANCELLED in codes


def test_a_watcher_that_goes_away_frees_its_thread(serve):
    service = serve(workers=1)
    answers = watch(service)
    next(answers)
    answers.cancel()
    assert check(service) == READY  # by the only thread


def test_reflection_lists_every_service(service):
    (answer,) = ask(service, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert [each.name for each in answer.list_services_response.service] == EVERY_SERVICE


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_reflection_describes_each_service_whole(service, name):
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
    (answer,) = ask(service, request)
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    packages = {f"{file.package}.{each.name}" for file in files for each in file.service}
    assert name in packages
    known = {file.name for file in files}
    assert all(needed in known for file in files for needed in file.dependency)


def test_reflection_answers_what_it_does_not_know_and_goes_on(service):
    unknown, empty, listed = ask(
        service,
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="nobody"),
        reflection_pb2.ServerReflectionRequest(),
        reflection_pb2.ServerReflectionRequest(list_services=""),
    )
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert empty.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert listed.list_services_response.service


@pytest.mark.parametrize(
    ("is_near", "expected"), [(True, {"Info", "Status", "ListStatuses"}), (False, set())]
)
def test_what_only_looks_something_up_on_this_machine_is_quick(is_near, expected):
    catalog = SimpleNamespace(is_near=is_near)
    handlers = Dispatch(catalog, None, None).handlers(ContentService(Events()))
    assert {name for name, handler in handlers.items() if handler.is_quick} == expected
