"""`lading fetch`: one blob, from a URL or a registry."""

import json
import random
import signal
import ssl
from base64 import b64encode

import pytest

from lading import Digest
from tests.support.certificates import Authority
from tests.support.lies import Always, Cut, Header, Stall, Status, WrongBytes
from tests.support.link import link
from tests.support.lying import lying
from tests.support.registry import image

DATA = random.Random(9).randbytes(400_000)  # noqa: S311 - the same each time
DIGEST = Digest.of(DATA)
ROOT_LABEL = "containerd.io/gc.root"
NEVER = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home with nobody's files, and no proxies."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "LADING_HOSTS", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def server():
    with lying({"me/app:1": image({"a": b"b"})}, files={"model.bin": DATA}) as running:
        running.add_blob("me/app", DATA)
        yield running


def test_a_url_with_a_digest_gives_the_digest_alone(run, server, store):
    done = run("fetch", server.url_of("model.bin"), "--digest", DIGEST, "--progress", "none")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{DIGEST}\n", "")
    assert store.read(DIGEST) == DATA


def test_a_url_without_a_digest_is_unverified_and_says_so(run, server):
    done = run("fetch", server.url_of("model.bin"))
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert f"fetched {DIGEST} (400 kB in " in done.stderr
    told = done.stderr.splitlines()[-1]
    url = server.url_of("model.bin")
    assert told == (
        f"lading: {url}: nobody has said which bytes it should have; --digest {DIGEST} would"
    )


def test_what_is_here_is_said_to_be(run, server, store):
    store.add(DATA)
    done = run("fetch", server.url_of("model.bin"), "--digest", DIGEST)
    assert done.exit_code == 0
    assert f"already here: {DIGEST}" in done.stderr
    assert server.log == []


def test_wrong_bytes_are_exit_code_5_and_nothing_of_them_stays(run, server, store):
    done = run("fetch", server.url_of("model.bin"), "--digest", NEVER)
    assert (done.exit_code, done.stdout) == (5, "")
    assert NEVER in done.stderr
    assert list(store.ingests()) == []


@pytest.mark.parametrize(("status", "code"), [(404, 3), (403, 4), (401, 4), (400, 1)])
def test_what_a_server_refuses_ends_by_its_code(run, server, status, code):
    server.lie({"files": [Always(Status(status))]})
    done = run("fetch", server.url_of("model.bin"))
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith("lading: ")


@pytest.mark.parametrize("text", ["ftp://a/b", "http://", "REGISTRY/x"])
def test_what_is_neither_url_nor_reference_is_wrong_usage(run, text):
    assert run("fetch", text).exit_code == 2


def test_a_blob_of_a_registry_is_fetched_by_its_digest(run, server, store):
    done = run("fetch", f"{server.host}/me/app@{DIGEST}")
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    assert store.read(DIGEST) == DATA


def test_the_digest_may_be_said_apart(run, server, store):
    done = run("fetch", f"{server.host}/me/app", "--digest", DIGEST)
    assert (done.exit_code, done.stdout) == (0, f"{DIGEST}\n")
    both = run("fetch", f"{server.host}/me/app@{DIGEST}", "--digest", NEVER)
    assert both.exit_code == 2
    assert "two blobs" in both.stderr


def test_a_reference_without_a_digest_names_no_blob(run, server):
    done = run("fetch", f"{server.host}/me/app:1")
    assert done.exit_code == 2
    assert "@sha256:" in done.stderr


def test_a_blob_is_a_root_where_there_is_a_collector(run, server, metadata):
    assert run("fetch", server.url_of("model.bin")).exit_code == 0
    assert ROOT_LABEL in metadata.namespace("default").blob(DIGEST).labels


def test_a_lease_keeps_it_instead(run, server, images):
    lease = images.lease("mine")
    done = run(
        *("--namespace", "images", "fetch", server.url_of("model.bin")),
        *("--digest", DIGEST, "--lease", "mine"),
    )
    assert done.exit_code == 0
    assert ROOT_LABEL not in images.blob(DIGEST).labels
    assert DIGEST in [each.id for each in lease.resources()]


def test_jsonl_tells_where_it_is(run, server):
    done = run("fetch", server.url_of("model.bin"), "--digest", DIGEST, "--progress", "jsonl")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[0]["event"] == "begin"
    assert events[-1]["event"] == "end"
    assert events[-1]["digest"] == DIGEST
    assert events[-1]["offset"] == events[-1]["total"] == len(DATA)
    assert {each["subject"] for each in events} == {"model.bin"}


def test_wrong_bytes_are_told_of_when_they_begin_anew(run, server):
    server.lie({"files": [WrongBytes(5)]})
    done = run("fetch", server.url_of("model.bin"), "--digest", DIGEST)
    assert done.exit_code == 0
    assert "starting over at 0" in done.stderr


def test_a_password_of_standard_input_is_said_to_the_host(run, server):
    done = run(
        *("fetch", server.url_of("model.bin"), "--username", "me", "--password-stdin"),
        stdin=b"hunter2\n",
    )
    assert done.exit_code == 0
    assert server.log[0].authorization == f"Basic {b64encode(b'me:hunter2').decode()}"


def test_no_secret_of_a_url_is_said(run, server):
    server.lie({"files": [Always(Status(404))]})
    url = server.url_of("model.bin?sig=hunter2").replace("://", "://me:hunter2@")
    done = run("fetch", url)
    assert done.exit_code == 3
    assert "hunter2" not in done.stderr


@pytest.mark.slow
def test_certificates_are_checked_as_they_are_by_every_verb(run, tmp_path):
    authority = Authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.vouch("server"))
    with lying(files={"model.bin": DATA}, context=context) as server:
        url = server.url_of("model.bin")
        assert run("fetch", url).exit_code == 4
        assert run("fetch", url, "--ca-file", authority.certificate).exit_code == 0
        assert run("fetch", url, "--insecure").exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["with", "without"])
def test_who_is_interrupted_is_told_how_to_go_on_and_the_next_run_does(start, server, store, tag):
    url, ending = server.url_of("model.bin"), []
    if tag == "without":
        ending.append(Header("Etag"))
    server.lie({"files": [sum(ending, Stall(150_000))]})
    process = start("fetch", url, "--progress", "jsonl")
    while [each.offset for each in store.ingests()] != [150_000]:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    last = told.decode().splitlines()[-1]
    assert last == (
        f"lading: interrupted; 150 kB of 400 kB are here; go on with `lading fetch {url}`"
    )
    server.lie({"files": [Always(sum(ending, Cut(10**9)))]})
    again = start("fetch", url)
    out, told = again.communicate(timeout=30)
    assert (again.returncode, out.decode()) == (0, f"{DIGEST}\n")
    if tag == "with":
        assert "150000 bytes are there already" in told.decode()
        assert server.log[-1].range == f"bytes=150000-{len(DATA) - 1}"


@pytest.mark.slow
def test_a_connection_that_is_lost_is_a_temporary_failure_that_says_how_to_go_on(start, server):
    digest = ["--digest", DIGEST]
    server.lie({"files": [Cut(150_000), Always(Status(503, headers={"Retry-After": "999"}))]})
    process = start("fetch", server.url_of("model.bin"), *digest)
    out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, b"")
    again = f"go on with `lading fetch --digest {DIGEST} {server.url_of('model.bin')}`"
    assert told.decode().splitlines()[-1].endswith(again)


@pytest.mark.slow
def test_who_is_killed_while_ranges_come_in_parallel_goes_on_at_the_offset(start, store):
    data = random.Random(10).randbytes(24 << 20)  # noqa: S311 - the same each time
    digest = Digest.of(data)
    with lying(files={"big": data}) as server, link(server.host, rate=4 << 20) as line:
        words = ["fetch", server.url_of("big").replace(server.host, line.host), "--digest", digest]
        process = start(*words)
        line.wait_for(lambda line: sum(each.range is not None for each in line.requests) >= 4)
        process.kill()
        process.wait()
        line.cut()
        line.rate_is(None)
        [begun] = store.ingests()
        assert 0 < begun.offset < len(data)
        done = len(line.requests)
        again = start(*words)
        out, _ = again.communicate(timeout=60)
        assert (again.returncode, out.decode()) == (0, f"{digest}\n")
        asked = [each.range for each in line.requests[done:]]
        # What the first one had asked for just before may pass later.
        assert asked[-2:] == ["bytes=0-0", f"bytes={begun.offset}-{len(data) - 1}"]
    assert store.read(digest) == data


def test_a_url_of_another_scheme_is_told_which_ones_there_are(run):
    done = run("fetch", "ftp://registry.example/a")
    assert done.exit_code == 2
    assert done.stderr == ("lading: ftp: is nothing that can be fetched from; http and https are\n")
