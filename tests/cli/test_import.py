"""`lading import`: from files, folders and pipes; what it prints, and how it goes on."""

import json
import os
import signal
import time

import pytest

from tests.archives.building import APP, archive, descriptor, digest, entry, named, saved
from tests.support.registry import image, write_layout

OTHER = image({"etc/other": b"other"})
BIG = image({"model": bytes(range(251)) * 20_000})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "app.tar"
    path.write_bytes(archive())
    return path


def test_the_names_are_printed_and_the_images_are_there(run, file):
    done = run("import", file)
    assert (done.exit_code, done.stdout) == (0, "app:1\n")
    assert run("images", "ls", "-q").stdout == "app:1\n"
    assert set(run("ls", "-q").stdout.split()) == set(APP.blobs)
    assert run("leases", "ls").stdout.splitlines()[1:] == []
    run("gc")
    assert set(run("ls", "-q").stdout.split()) == set(APP.blobs)


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input_is_read(run, arguments):
    assert run("import", *arguments, stdin=archive()).stdout == "app:1\n"


def test_a_folder_is_a_layout(run, tmp_path):
    assert run("import", write_layout(APP, tmp_path / "layout")).stdout == "latest\n"


def test_what_docker_saved_is_read(run, tmp_path):
    (tmp_path / "saved.tar").write_bytes(saved())
    assert run("import", tmp_path / "saved.tar").stdout == "docker.io/library/app:1\n"


def test_an_image_without_a_name_is_known_by_its_digest(run, tmp_path):
    (tmp_path / "a.tar").write_bytes(archive(roots=[descriptor(APP.manifest)]))
    assert run("import", tmp_path / "a.tar").stdout == f"{APP.digest}\n"
    assert run("images", "ls", "-q").stdout == f"{APP.digest}\n"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--name", "mine"], ["mine"]),
        (["--base-name", "ghcr.io/me/app"], ["ghcr.io/me/app:1"]),
        (["--index-name", "index"], ["1", "index"]),
    ],
)
def test_names_can_be_given(run, tmp_path, options, names):
    (tmp_path / "a.tar").write_bytes(archive(roots=[named(APP, "1")]))
    assert run("import", tmp_path / "a.tar", *options).stdout.split() == names


def test_one_name_for_two_images_is_wrong_usage(run, tmp_path):
    (tmp_path / "a.tar").write_bytes(archive(APP, OTHER))
    done = run("import", tmp_path / "a.tar", "--name", "mine")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "has 2 images" in done.stderr


def test_records_are_printed_for_programs(run, file):
    (line,) = run("import", file, "--json").stdout.splitlines()
    assert json.loads(line) == {
        "name": "app:1",
        "digest": APP.digest,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "size": len(APP.manifest),
    }


def test_a_hostile_archive_is_one_sentence_and_leaves_nothing(run, tmp_path):
    (tmp_path / "evil.tar").write_bytes(archive(extra=[entry("../../x\x1b[2J", b"x")]))
    done = run("import", tmp_path / "evil.tar")
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr.count("\n") == 1
    assert "lies outside of it" in done.stderr
    assert "\x1b" not in done.stderr
    assert run("ls", "-q").stdout == ""
    assert run("active").stdout.splitlines()[1:] == []


def test_what_is_not_there_is_said(run, tmp_path):
    done = run("import", tmp_path / "absent.tar")
    assert done.exit_code == 1
    assert "absent.tar: No such file" in done.stderr


def test_a_platform_that_there_is_not_is_not_found(run, tmp_path):
    (tmp_path / "a.tar").write_bytes(archive(roots=[named(APP, "1")]))
    assert run("import", tmp_path / "a.tar", "--platform", "nonsense").exit_code == 2


def test_progress_is_a_line_for_each_blob(run, file):
    done = run("import", file)
    assert f"imported {APP.digest}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("imported app.tar: 4 blobs")
    again = run("import", file)
    assert "already there" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_stopped_says_how_to_go_on_and_the_next_one_does(
    start, run, tmp_path, sign
):
    whole = archive(BIG)
    reading, writing = os.pipe()
    process = start("import", "--progress", "jsonl", "-", stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as end:
        end.write(whole[: len(whole) // 2])
        # Its own word that bytes have come, and not a pause, says when it can be stopped.
        for line in process.stderr:
            if json.loads(line)["event"] == "begin":
                break
        wait_for_bytes(run)
        process.send_signal(sign)
        assert process.wait() == (130 if sign == signal.SIGINT else 143)
    told = process.stderr.read().decode().splitlines()[-1]
    assert "kept for a day" in told
    assert "lading import -" in told
    (tmp_path / "big.tar").write_bytes(whole)
    done = run("import", tmp_path / "big.tar")
    assert done.exit_code == 0
    assert f"resuming {digest(BIG.layers[0])}" in done.stderr
    assert set(run("ls", "-q").stdout.split()) == set(BIG.blobs)


def wait_for_bytes(run):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = run("active", "--json").stdout.splitlines()
        if any(json.loads(line)["offset"] for line in lines):
            return
    pytest.fail("no bytes came")
