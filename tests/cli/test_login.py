"""`lading login` tries credentials, and keeps them where docker and podman find them, too."""

import base64
import contextlib
import json
import os
import pty
import subprocess

import pytest

from tests.support.peers import peer
from tests.support.registry import ALICE, image, running_registry
from tests.support.token_server import running_token_server

NAME, PASSWORD = ALICE
PACKED = base64.b64encode(":".join(ALICE).encode()).decode()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry that knows Alice."""
    with running_registry(tmp_path_factory.mktemp("registry"), passwords=True) as running:
        yield running


@pytest.fixture(scope="module")
def host(registry):
    return registry.host


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with nobody's files."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "LADING_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "home").mkdir(exist_ok=True)
    return tmp_path / "home"


@pytest.fixture
def docker_file(home):
    return home / ".docker/config.json"


def login(run, host, *words, password=PASSWORD, name=NAME):
    return run("login", host, "-u", name, "--password-stdin", *words, stdin=password.encode())


def test_credentials_that_work_are_kept(run, host, docker_file):
    done = login(run, host, password=f"{PASSWORD}\n")
    assert done.exit_code == 0
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first == f"lading: logged in to {host} as 'alice'"
    assert second.startswith(f"lading: the password is in {docker_file}, as plain text for whoever")
    assert json.loads(docker_file.read_text()) == {"auths": {host: {"auth": PACKED}}}


def test_skopeo_gets_in_by_what_was_kept(run, host, registry, docker_file):
    reference = registry.push(image({"a": b"b"}), "a/b:1", credential=ALICE)
    words = [peer("skopeo"), "inspect", "--tls-verify=false", f"docker://{reference}"]
    before = subprocess.run(words, capture_output=True, check=False)
    assert before.returncode != 0
    login(run, host)
    subprocess.run(words, capture_output=True, check=True)


def test_where_skopeo_logs_in_we_are_and_where_we_log_out_it_is_not(
    run, host, registry, home, tmp_path
):
    reference = registry.push(image({"e": b"f"}), "e/f:1", credential=ALICE)
    (tmp_path / "run").mkdir()
    words = ["login", "--tls-verify=false", "-u", NAME, "--password-stdin", host]
    subprocess.run([peer("skopeo"), *words], input=PASSWORD.encode(), check=True)
    assert run("resolve", reference).exit_code == 0
    assert run("logout", host).exit_code == 0
    assert run("resolve", reference).exit_code == 4
    inspect = ["inspect", "--tls-verify=false", f"docker://{reference}"]
    assert subprocess.run([peer("skopeo"), *inspect], check=False, capture_output=True).returncode


def test_who_has_logged_in_may_resolve(run, host, registry, docker_file):
    made = image({"c": b"d"})
    reference = registry.push(made, "c/d:1", credential=ALICE)
    refused = run("resolve", reference)
    assert refused.exit_code == 4
    assert f"without knowing who asks; `lading login {host}`" in refused.stderr
    login(run, host)
    done = run("resolve", reference)
    assert (done.exit_code, done.stdout.strip()[-71:]) == (0, made.digest)


def test_credentials_that_do_not_work_are_not_kept(run, host, docker_file):
    done = login(run, host, password="wrong")  # noqa: S106 - of a test
    assert done.exit_code == 4
    assert done.stderr == (
        f"lading: {host}: it does not accept the credentials of 'alice'; `lading login {host}`\n"
    )
    assert not docker_file.parent.exists()


def test_a_registry_that_cannot_be_reached_changes_nothing(run, docker_file):
    done = login(run, "127.0.0.1:1")
    assert done.exit_code == 7
    assert not docker_file.parent.exists()


def test_a_registry_may_be_written_as_it_is_pasted(run, host, docker_file):
    assert login(run, f"https://{host}/v2/").exit_code == 0
    assert list(json.loads(docker_file.read_text())["auths"]) == [host]


@pytest.mark.parametrize("text", ["ghcr.io/me", "a b", "", "https://", "../x"])
def test_what_is_no_registry_is_wrong_usage(run, docker_file, text):
    done = login(run, text)
    assert done.exit_code == 2
    assert "HOST: " in done.stderr
    assert "is no registry; write host or host:port" in done.stderr


def test_a_token_server_is_asked_before_they_are_kept(run, tmp_path, docker_file):
    with (
        running_token_server(tmp_path / "tokens", users=dict([ALICE])) as server,
        running_registry(tmp_path / "registry", token_server=server) as registry,
    ):
        refused = login(run, registry.host, password="wrong")  # noqa: S106 - of a test
        assert refused.exit_code == 4
        assert f"gives no token to 'alice'; `lading login {registry.host}`" in refused.stderr
        assert login(run, registry.host).exit_code == 0
        assert [asked.scopes for asked in server.log if asked.status == 200] == [()]
    assert registry.host in docker_file.read_text()


def test_a_registry_that_asks_nobody_is_said_to(run, tmp_path, docker_file):
    with running_registry(tmp_path / "registry") as registry:
        done = login(run, registry.host)
    assert done.exit_code == 0
    assert f"{registry.host} asks nobody for credentials, so that those of 'alice'" in done.stderr
    assert registry.host in docker_file.read_text()


def test_a_file_that_is_named_has_them(run, host, docker_file, tmp_path):
    file = tmp_path / "auth.json"
    assert login(run, host, "--authfile", file).exit_code == 0
    assert json.loads(file.read_text()) == {"auths": {host: {"auth": PACKED}}}
    assert not docker_file.exists()


def test_a_helper_has_them_and_no_file_has(run, host, docker_file, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    helper = tmp_path / "bin/docker-credential-keys"
    helper.write_text(f"#!/bin/sh\ncat > {tmp_path}/$1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    docker_file.parent.mkdir()
    docker_file.write_text('{"credsStore": "keys", "detachKeys": "ctrl-a"}')
    done = login(run, host)
    assert done.stderr.splitlines() == [f"lading: logged in to {host} as 'alice'"]
    kept = json.loads((tmp_path / "store").read_text())
    assert kept == {"ServerURL": host, "Username": "alice", "Secret": PASSWORD}
    content = json.loads(docker_file.read_text())
    assert content == {"credsStore": "keys", "detachKeys": "ctrl-a", "auths": {host: {}}}


def test_a_broken_file_is_one_sentence(run, host, docker_file):
    docker_file.parent.mkdir()
    docker_file.write_text("{")
    done = login(run, host)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"lading: {docker_file}: not JSON: ")
    assert docker_file.read_text() == "{"


def test_a_password_on_the_command_line_is_taken_and_warned_of(run, host, docker_file):
    done = run("login", host, "-u", NAME, "-p", PASSWORD)
    assert done.exit_code == 0
    assert "others on this machine can see a password on the command line" in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-u", NAME, "-p", PASSWORD, "--password-stdin"], "choose one of --password and"),
        (["--password-stdin"], "name who to be with --username"),
        ([], "name who to be with --username"),
        (["-u", NAME], "give the password with --password-stdin"),
        (["-u", "a:b", "-p", PASSWORD], "a username has no colon"),
        (["-u", NAME, "-p", ""], "give the password with --password-stdin"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_asked(run, host, registry, words, problem):
    before = len(registry.requests)
    done = run("login", host, *words, stdin=PASSWORD.encode())
    assert (done.exit_code, problem in done.stderr) == (2, True), done.stderr
    assert len(registry.requests) == before


def test_on_a_terminal_it_asks_and_shows_no_password(start, host, environment):
    ours, theirs = pty.openpty()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        process = start(
            "login",
            host,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=environment | {"TERM": "dumb"},
        )
        os.close(theirs)
        shown = b""
        for prompt, answer in ((b"Username: ", NAME), (b"Password: ", PASSWORD)):
            while prompt not in shown:
                shown += os.read(ours, 1024)
            os.write(ours, f"{answer}\n".encode())
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 1024):
                shown += piece
        assert process.wait(60) == 0, shown.decode()
    assert b"logged in to" in shown
    assert PASSWORD.encode() not in shown
    kept = os.path.join(environment["HOME"], ".docker/config.json")  # noqa: PTH118 - of a text
    with open(kept) as file:  # noqa: PTH123 - ditto
        assert json.load(file) == {"auths": {host: {"auth": PACKED}}}
