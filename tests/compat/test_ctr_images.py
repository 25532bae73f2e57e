"""Stock `ctr` says of lading what it says of containerd: images, registries and events.

Each command runs twice, and what it answers is compared. What differs is in docs/service.md.
"""

import contextlib
import json
import select
import subprocess
import tarfile
import threading

import pytest

from tests.compat.ctr import normal
from tests.support.registry import digest, image, write_layout

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ctr, images")]

APP = image({"bin/app": b"app" * 10_000}, {"etc/app": b"settings"})


@pytest.fixture
def archive(tmp_path):
    layout = write_layout(APP, tmp_path / "layout")
    archive = tmp_path / "app.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(layout, arcname="")
    return archive


@pytest.fixture
def imported(both, archive):
    both("images", "import", "--no-unpack", "--base-name", "app", archive)
    return "app:latest"


def test_an_image_is_fetched_all_the_way(both, registry):
    reference = registry.push(APP, "team/fetched:1")
    for said in both.each("content", "fetch", "--plain-http", reference):
        assert (said.code, said.condition) == (0, "")
    listed = both("content", "ls")
    assert all(blob in listed.out for blob in APP.blobs)
    assert "containerd.io/gc.ref.content.l.1=" in listed.out
    both("images", "ls")
    for blob, data in APP.blobs.items():
        for server in (both.theirs, both.ours):
            got = server.command("content", "get", blob, namespace=both.namespace)
            assert subprocess.run(got, capture_output=True, check=True).stdout == data


def test_an_object_is_pushed(both, registry):
    blob = both.add(b"pushed object")
    media_type = "application/vnd.oci.image.layer.v1.tar"
    for server, name in ((both.theirs, "theirs"), (both.ours, "ours")):
        said = server(
            *("content", "push-object", "--plain-http", f"{registry.host}/pushed/{name}:1"),
            *(blob, media_type),
            namespace=both.namespace,
        )
        assert said.code == 0, said
        assert said.out.split() == ["Pushed", blob, media_type]


def test_an_image_is_pushed(both, registry, imported):
    for server, name in ((both.theirs, "theirs"), (both.ours, "ours")):
        reference = f"{registry.host}/image/{name}:1"
        said = server(
            "images", "push", "--plain-http", reference, imported, namespace=both.namespace
        )
        assert said.code == 0, said
    fetched = f"{registry.host}/image/ours:1"
    assert both.theirs("content", "fetch", "--plain-http", fetched).code == 0


def test_a_pull_gets_everything_and_stops_where_it_would_unpack(both, registry):
    reference = registry.push(APP, "team/pulled:1")
    theirs, ours = both.each("images", "pull", "--plain-http", "--snapshotter", "native", reference)
    assert theirs.code == 0, theirs
    assert ours.code == 1
    assert "failed to stat snapshot" in ours.err
    assert ours.condition == "not implemented"
    assert set(both("content", "ls", "-q").out.split()) == set(APP.blobs)
    assert both("images", "ls", "-q").out.split() == [reference]


def test_references_are_pruned_and_what_they_kept_is_collected(both, registry):
    reference = registry.push(APP, "team/pruned:1")
    both.each("content", "fetch", "--plain-http", reference)
    dry = both.each("content", "prune", "references", "--dry")
    assert [said.code for said in dry] == [0, 0]
    assert both("content", "ls").code == 0
    assert both("content", "prune", "references").code == 0
    kept = {digest(APP.manifest), digest(APP.config)}
    assert set(both("content", "ls", "-q").out.split()) == kept


def test_images_are_imported_listed_tagged_labelled_and_removed(both, imported):
    assert set(both("content", "ls", "-q").out.split()) >= set(APP.blobs)
    both("images", "ls")
    assert both("images", "tag", imported, "app:2", "app:3").out.split() == ["app:2", "app:3"]
    assert both("images", "tag", imported, "app:2").code == 1
    assert both("images", "tag", "--force", imported, "app:2").code == 0
    assert both("images", "tag", "absent:1", "app:4").code == 1
    both("images", "label", "app:2", "team=web", "stage=one")
    both("images", "label", "app:2", "team=")
    both("images", "label", "--replace-all", "app:2", "only=this")
    both("images", "ls")
    both("images", "ls", "-q", "name==app:3")
    both("images", "ls", "-q", "labels.only==this")
    both("images", "ls", "-q", f"target.digest=={APP.digest}")
    both("images", "rm", "app:2", "app:3")
    both("images", "rm", "absent:1")
    assert both("images", "rm", "--sync", imported).code == 0
    assert both("images", "ls", "-q").out == ""
    assert both("content", "ls", "-q").out == ""


def test_an_image_is_exported_as_containerd_exports_it(both, imported, tmp_path):
    files = {}
    for server, name in ((both.theirs, "theirs"), (both.ours, "ours")):
        target = tmp_path / f"{name}.tar"
        said = server("images", "export", target, imported, namespace=both.namespace)
        assert said.code == 0, said
        with tarfile.open(target) as tar:
            files[name] = {
                member.name: tar.extractfile(member).read()
                for member in tar.getmembers()
                if member.isfile()
            }
    assert files["ours"] == files["theirs"]
    index = json.loads(files["ours"]["index.json"])
    assert [each["digest"] for each in index["manifests"]] == [APP.digest]


def test_a_check_of_images_sees_the_same_content(both, imported):
    def statuses():
        found = both.each("images", "check", "--snapshotter", "native")
        return [[n.split("\t")[:5] for n in normal(said.out)] for said in found]

    theirs, ours = statuses()
    assert ours == theirs
    both("content", "rm", digest(APP.layers[0]))
    theirs, ours = statuses()
    assert ours == theirs


def test_events_are_told_as_they_happen(both, archive):
    wanted = ["/images/create", "/images/update", "/content/delete", "/images/delete"]

    def told(server):
        with contextlib.ExitStack() as stack:
            events = subprocess.Popen(
                server.command("events", namespace=both.namespace),
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(events.stdout.close)
            stack.callback(events.wait)
            stack.callback(events.kill)
            # Without this, what is not told would be waited for without end.
            limit = threading.Timer(60, events.kill)
            limit.start()
            stack.callback(limit.cancel)

            def run(*command, data=b""):
                said = server(*command, namespace=both.namespace, data=data)
                assert said.code == 0, said

            # Nobody knows when the subscription has begun; so something happens until it is told.
            number = 0
            while not select.select([events.stdout], [], [], 0.05)[0]:
                number += 1
                run("images", "import", "--no-unpack", "--base-name", "app", archive)
            run("content", "rm", digest(APP.layers[0]))
            run("images", "tag", "app:latest", "app:last")
            run("images", "rm", "app:latest")
            lines = []
            for line in events.stdout:
                _, _, _, _, namespace, topic, payload = line.split(maxsplit=6)
                if topic in wanted:
                    lines.append((namespace, topic, payload))
                if topic == "/images/delete":
                    return lines
            raise AssertionError(lines)

    theirs, ours = told(both.theirs), told(both.ours)
    assert ours[-3:] == theirs[-3:]
    assert [topic for _, topic, _ in ours[-3:]] == [
        "/content/delete",
        "/images/create",
        "/images/delete",
    ]
