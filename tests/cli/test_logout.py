"""`lading logout` forgets credentials wherever they would be found."""

import json

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with nobody's files."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "home"


def write(path, *hosts, **rest):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {host: {"auth": "bWU6cw=="} for host in hosts}, **rest}))
    return path


def hosts_of(path):
    return list(json.loads(path.read_text())["auths"])


def test_every_file_that_has_them_forgets_them(run, home, tmp_path):
    podman = write(tmp_path / "run/containers/auth.json", "ghcr.io", "quay.io")
    docker = write(home / ".docker/config.json", "https://ghcr.io/v1/", detachKeys="ctrl-a")
    done = run("logout", "ghcr.io")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"lading: forgot the credentials for ghcr.io of {file}" for file in (podman, docker)
    ]
    assert (hosts_of(podman), hosts_of(docker)) == (["quay.io"], [])
    assert json.loads(docker.read_text())["detachKeys"] == "ctrl-a"


def test_docker_io_is_forgotten_by_its_usual_name(run, home):
    docker = write(home / ".docker/config.json", "https://index.docker.io/v1/")
    assert run("logout", "docker.io").exit_code == 0
    assert hosts_of(docker) == []


def test_a_file_that_is_named_alone_forgets_them(run, home, tmp_path):
    docker = write(home / ".docker/config.json", "ghcr.io")
    other = write(tmp_path / "auth.json", "ghcr.io")
    assert run("logout", "ghcr.io", "--authfile", other).exit_code == 0
    assert (hosts_of(docker), hosts_of(other)) == (["ghcr.io"], [])


def test_what_is_not_there_is_not_found(run, home):
    docker = write(home / ".docker/config.json", "quay.io")
    done = run("logout", "ghcr.io")
    assert done.exit_code == 3
    assert done.stderr == "lading: there are no credentials for ghcr.io\n"
    assert hosts_of(docker) == ["quay.io"]
    assert not (home / ".config").exists()


def test_a_helper_that_is_missing_is_one_sentence(run, home):
    write(home / ".docker/config.json", "ghcr.io", credsStore="missing")
    done = run("logout", "ghcr.io")
    assert done.exit_code == 4
    assert "the credential helper docker-credential-missing is not installed" in done.stderr
