"""`lading push`: what it sends, what it prints, and how it ends."""

import json
import re

import pytest

from lading.cli.quantities import size_text
from lading.model.digest import Digest
from lading.oci.client import RegistryClient
from lading.oci.transport.patience import Patience
from tests.support.lies import Always, Status
from tests.support.lying import lying
from tests.support.lying_uploads import Quirks
from tests.support.registry import digest, image
from tests.support.served import served

MADE = image({"a": bytes(range(256)) * 2000}, {"b": b"b"})
SIZE = size_text(sum(map(len, MADE.blobs.values())))
TYPE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def registry(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with lying() as registry:
        yield registry


@pytest.fixture
def named(run, store):
    """The image, under a name."""
    for blob in MADE.blobs.values():
        store.add(blob)
    run("metadata", "rebuild")

    def name_it(name):
        made = run("images", "create", "--media-type", TYPE, "--force", name, MADE.digest)
        assert made.exit_code == 0, made.stderr
        return name

    return name_it


@pytest.fixture
def push(run):
    return lambda *words: run("push", "--plain-http", *words)


def has_it(registry, repository="team/app", tag="1"):
    kept = registry.manifests.get(repository, {}).get(tag)
    return kept == (TYPE, MADE.manifest) and all(
        registry.blobs[repository][digest(layer)] == layer for layer in MADE.layers
    )


def test_an_image_goes_to_where_its_name_says(push, registry, named):
    done = push(named(f"{registry.host}/team/app:1"))
    assert (done.exit_code, done.stdout) == (0, f"{registry.host}/team/app@{MADE.digest}\n")
    assert has_it(registry)


def test_an_image_goes_elsewhere_under_another_name(push, registry, named):
    done = push(named("redis:7"), f"{registry.host}/team/app:1")
    assert done.stdout == f"{registry.host}/team/app@{MADE.digest}\n"
    assert has_it(registry)


def test_a_name_may_be_short(push, registry, named):
    named("docker.io/library/redis:7")
    assert push("redis:7", f"{registry.host}/team/app:1").exit_code == 0


def test_a_digest_goes_from_a_root_without_a_database(push, registry, store):
    for blob in MADE.blobs.values():
        store.add(blob)
    done = push(MADE.digest, f"docker://{registry.host}/team/app:1")
    assert (done.exit_code, done.stderr.count("error")) == (0, 0)
    assert has_it(registry)


def test_a_digest_has_to_be_told_where_to(push, store):
    for blob in MADE.blobs.values():
        store.add(blob)
    done = push(MADE.digest)
    assert done.exit_code == 2
    assert "say where to: REFERENCE" in done.stderr


def test_an_image_whose_type_nobody_said_is_looked_at(push, run, registry, named):
    named("app")
    run("images", "create", "--force", "app", MADE.digest)
    assert push("app", f"{registry.host}/team/app:1").exit_code == 0
    assert has_it(registry)


def test_what_is_not_here_is_exit_code_3(push, registry, named):
    for missing in ("nobody/knows", f"sha256:{'0' * 64}"):
        done = push(missing, f"{registry.host}/team/app:1")
        assert done.exit_code == 3
        assert "not found" in done.stderr
    assert registry.asked() == []


def test_a_layer_is_no_image(push, registry, named):
    named("app")
    done = push(digest(MADE.layers[1]), f"{registry.host}/team/app:1")
    assert done.exit_code == 1
    assert "is no image" in done.stderr


def test_what_is_missing_is_said_before_anything_is_sent(push, run, registry, named):
    named("app")
    run("rm", digest(MADE.layers[0]))
    done = push("app", f"{registry.host}/team/app:1")
    assert done.exit_code == 3
    assert digest(MADE.layers[0]) in done.stderr
    assert registry.asked() == []


def two_platforms(run, store):
    """An index named `app`, of which only the part for amd64 is here."""
    manifests = [
        {
            "mediaType": TYPE,
            "digest": name,
            "size": size,
            "platform": {"os": "linux", "architecture": architecture},
        }
        for name, size, architecture in (
            (MADE.digest, len(MADE.manifest), "amd64"),
            (f"sha256:{'1' * 64}", 100, "arm64"),
        )
    ]
    index = "application/vnd.oci.image.index.v1+json"
    data = json.dumps({"schemaVersion": 2, "mediaType": index, "manifests": manifests})
    name = store.add(data.encode()).digest
    run("metadata", "rebuild")
    run("images", "create", "--media-type", index, "app", name)


def test_a_platform_that_is_not_here_leads_to_the_option(push, run, registry, named, store):
    named("other")
    two_platforms(run, store)
    done = push("app", f"{registry.host}/team/app:1")
    assert done.exit_code == 3
    assert "(linux/arm64): not found" in done.stderr
    assert "--platform linux/amd64" in done.stderr
    done = push("app", f"{registry.host}/team/app:1", "--platform", "linux/amd64")
    assert done.stdout == f"{registry.host}/team/app@{MADE.digest}\n"
    assert has_it(registry)


@pytest.mark.parametrize("mode", ["lines", "auto", "jsonl", "none", "bar"])
def test_progress_is_on_stderr(push, registry, named, mode):
    done = push(named(f"{registry.host}/team/app:1"), "--progress", mode)
    assert done.stdout.count("\n") == 1
    lines = done.stderr.splitlines()
    match mode:
        case "none":
            assert lines == []
        case "jsonl":
            events = [json.loads(line) for line in lines]
            assert [events[0]["event"], events[-1]["event"]] == ["resolve", "done"]
            assert events[-1]["moved"] == sum(map(len, MADE.blobs.values()))
        case _:
            assert re.search(rf"pushed \S+/team/app:1: 4 blobs, {SIZE} in \S+ s$", lines[-1])


def test_a_second_push_says_that_all_was_there(push, registry, named):
    named(f"{registry.host}/team/app:1")
    push(f"{registry.host}/team/app:1")
    done = push(f"{registry.host}/team/app:1")
    assert done.stderr.splitlines()[-1].endswith(f"4 blobs, {SIZE}, all there already")


def test_a_failed_push_that_may_be_tried_again_says_how(push, registry, named, monkeypatch):
    named(f"{registry.host}/team/app:1")
    registry.lie({"PUT manifests": [Always(Status(503))]})
    made = RegistryClient.__init__
    monkeypatch.setattr(
        RegistryClient,
        "__init__",
        lambda self, **settings: made(self, **settings, patience=Patience(attempts=1)),
    )
    done = push(f"{registry.host}/team/app:1", "--platform", "all")
    assert done.exit_code == 7
    assert done.stderr.rstrip().endswith(
        f"were sent; go on with: lading push --platform all --plain-http {registry.host}/team/app:1"
    )


def test_who_may_not_push_is_exit_code_4(push, registry, named):
    registry.lie({"POST uploads": [Always(Status(403, "DENIED"))]})
    done = push(named(f"{registry.host}/team/app:1"))
    assert done.exit_code == 4
    assert "Traceback" not in done.stderr


def test_a_damaged_blob_is_exit_code_5(push, registry, named, store):
    named(f"{registry.host}/team/app:1")
    path = store.path(Digest(digest(MADE.layers[0])))
    path.chmod(0o600)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert push(f"{registry.host}/team/app:1").exit_code == 5


def test_where_a_push_is_remembered_is_no_stray(run, root, store):
    (root / "uploads").mkdir(parents=True)
    (root / "uploads" / f"{'0' * 64}.json").write_text("{}")
    assert list(store.strays()) == []
    assert run("verify", "--all").exit_code == 0


def test_it_works_through_a_daemon(run, registry, tmp_path, metadata):
    namespace = metadata.namespace("default")
    for blob in MADE.blobs.values():
        namespace.add(blob)
    with served(metadata, metadata.events, tmp_path / "socket") as address:
        words = ["--address", address, MADE.digest, f"{registry.host}/team/app:1"]
        done = run("push", "--plain-http", *words)
    assert done.exit_code == 0, done.stderr
    assert has_it(registry)


def test_an_archive_is_no_registry(push):
    done = push(MADE.digest, "oci:folder:1")
    assert done.exit_code == 2
    assert "lading export" in done.stderr


def test_quirks_do_not_show(run, named, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    named("app")
    with lying(quirks=Quirks(finishes=False, relative=True, prefix="bytes=")) as registry:
        done = run("push", "--plain-http", "app", f"{registry.host}/team/app:1")
        assert done.exit_code == 0
        assert has_it(registry)
