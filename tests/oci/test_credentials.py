"""Credentials are found where docker and podman keep them, and kept where those find them."""

import base64
import json
import os
import stat
import sys
import textwrap
import threading

import pytest

from lading.errors import InvalidArgument, PermissionDenied, Unauthenticated
from lading.oci.access.credential import account_of, basic
from lading.oci.access.credential_files import FILE_LIMIT
from lading.oci.access.credential_helpers import Helper
from lading.oci.access.credentials import Credential, FileCredentials, GivenCredentials

HUB = "https://index.docker.io/v1/"
SECRET = "s3cr:et"  # noqa: S105 - of a test


def packed(name="me", password=SECRET):
    return base64.b64encode(f"{name}:{password}".encode()).decode()


def entry(name="me", password=SECRET):
    return {"auth": packed(name, password)}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home/.docker").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def environment(home, tmp_path):
    (tmp_path / "bin").mkdir()
    return {
        "HOME": str(home),
        "PATH": str(tmp_path / "bin"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
    }


@pytest.fixture
def docker_file(home):
    return home / ".docker/config.json"


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def find(environment, host="ghcr.io", repository="me/model", **settings):
    return FileCredentials(environment, **settings).find(host, repository)


HELPER = """\
    #!{python}
    import json, pathlib, sys
    folder = pathlib.Path({folder!r})
    kept = folder / "kept.json"
    action, said = sys.argv[1], sys.stdin.read()
    with (folder / "log").open("a") as log:
        print(action, said, file=log)
    content = json.loads(kept.read_text()) if kept.exists() else {{}}
    if action == "get":
        if said not in content:
            print("credentials not found in native keychain")
            sys.exit(1)
        print(json.dumps({{"ServerURL": said, **content[said]}}))
    elif action == "store":
        new = json.loads(said)
        content[new.pop("ServerURL")] = new
        kept.write_text(json.dumps(content))
    elif action == "erase":
        del content[said]
        kept.write_text(json.dumps(content))
    """


class HelperProgram:
    """A helper that a test has installed, as a real program."""

    def __init__(self, folder, name="keys", text=HELPER):
        self._folder = folder
        program = folder / f"docker-credential-{name}"
        text = textwrap.dedent(text).format(python=sys.executable, folder=str(folder))
        program.write_text(text)
        program.chmod(0o755)

    @property
    def kept(self):
        return json.loads((self._folder / "kept.json").read_text())

    def keep(self, server, name, secret=SECRET):
        content = {server: {"Username": name, "Secret": secret}}
        (self._folder / "kept.json").write_text(json.dumps(content))

    @property
    def log(self):
        return (self._folder / "log").read_text().splitlines()


@pytest.fixture
def helper(tmp_path, environment):
    return HelperProgram(tmp_path / "bin")


def test_without_any_file_there_is_nothing(environment):
    assert find(environment) is None


def test_files_are_read_in_podmans_order_with_dockers_variable_first(environment, home, tmp_path):
    places = [
        home / ".dockercfg",
        home / ".docker/config.json",
        home / ".config/containers/auth.json",
        tmp_path / "run/containers/auth.json",
    ]
    (home / ".dockercfg").write_text(json.dumps({"ghcr.io": entry("0")}))
    for place, path in enumerate(places):
        if place:
            write(path, auths={"ghcr.io": entry(str(place))})
        assert find(environment).username == str(place)
    write(tmp_path / "docker/config.json", auths={"ghcr.io": entry("docker")})
    named = environment | {"DOCKER_CONFIG": str(tmp_path / "docker")}
    assert find(named).username == "docker"
    write(tmp_path / "docker/config.json", auths={})
    assert find(named).username == "3"
    for path in places[2:]:
        path.unlink()
    assert find(named).username == "0"  # and not ~/.docker


def test_a_configuration_folder_of_ones_own_counts_and_a_relative_one_does_not(
    environment, tmp_path, home
):
    write(tmp_path / "other/containers/auth.json", auths={"ghcr.io": entry()})
    assert find(environment | {"XDG_CONFIG_HOME": str(tmp_path / "other")})
    write(home / ".config/containers/auth.json", auths={"ghcr.io": entry("home")})
    assert find(environment | {"XDG_CONFIG_HOME": "other"}).username == "home"


def test_a_file_that_is_named_is_read_alone(environment, docker_file, tmp_path):
    write(docker_file, auths={"ghcr.io": entry()})
    other = write(tmp_path / "auth.json", auths={"quay.io": entry()})
    assert find(environment, file=other) is None
    assert find(environment, "quay.io", file=other)
    named = environment | {"REGISTRY_AUTH_FILE": str(other)}
    assert find(named) is None
    assert find(named, "quay.io")
    assert find(named, file=docker_file)


def test_a_file_that_is_named_and_missing_is_an_error(environment, tmp_path):
    with pytest.raises(InvalidArgument, match="there is no such file; `lading login` makes it"):
        find(environment, file=tmp_path / "auth.json")
    assert find(environment | {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}) is None


def test_the_longest_beginning_of_a_repository_counts(environment, docker_file):
    keys = ("ghcr.io", "ghcr.io/me", "ghcr.io/me/model", "ghcr.io/me/mod")
    write(docker_file, auths={key: entry(key) for key in keys})
    for repository, key in (
        ("me/model", "ghcr.io/me/model"),
        ("me/model/small", "ghcr.io/me/model"),
        ("me/other", "ghcr.io/me"),
        ("you/model", "ghcr.io"),
        ("", "ghcr.io"),
    ):
        assert find(environment, repository=repository).username == key


@pytest.mark.parametrize(
    "key",
    [
        HUB,
        "index.docker.io",
        "docker.io",
        "https://docker.io/",
        "registry-1.docker.io",
        "index.docker.io/v1/",
        "Docker.io",
    ],
)
def test_docker_io_is_one_whatever_it_is_called(environment, docker_file, key):
    write(docker_file, auths={"docker.io.example": {}, key: entry()})
    for host in ("docker.io", "registry-1.docker.io"):
        assert find(environment, host, "library/redis") == ("me", SECRET, "", "")


@pytest.mark.parametrize(
    "key", ["https://r.example:5000", "http://r.example:5000/v2/a", "r.example:5000/v1/"]
)
def test_old_keys_are_their_host(environment, docker_file, key):
    assert account_of(key) == "r.example:5000"
    write(docker_file, auths={key: entry()})
    assert find(environment, "r.example:5000", "any/thing")
    assert find(environment, "r.example", "any/thing") is None


def test_the_usual_key_comes_before_longer_urls_of_the_same_host(environment, docker_file):
    others = {f"{HUB}{what}": entry(what) for what in ("access-token", "refresh-token")}
    write(docker_file, auths={**others, HUB: entry()})
    assert find(environment, "docker.io", "library/redis").username == "me"


def test_every_form_of_an_entry_is_read(environment, docker_file):
    for written, expected in (
        (entry(), ("me", SECRET, "", "")),
        ({"auth": packed("me", "a\0\0")}, ("me", "a", "", "")),
        ({"username": "me", "password": SECRET}, ("me", SECRET, "", "")),
        ({"auth": packed("me", ""), "identitytoken": "t"}, ("me", "", "t", "")),
        ({"identitytoken": "t", "email": None}, ("", "", "t", "")),
        ({"registrytoken": "t"}, ("", "", "", "t")),
        ({"auth": f" {packed()}\n"}, ("me", SECRET, "", "")),
        ({}, None),
        ({"auth": ""}, None),
        (entry(password=""), None),
    ):
        write(docker_file, auths={"ghcr.io": written})
        assert find(environment) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON: .* in line 1, column 2"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"auths": [1]}', "auths is no object"),
        ('{"auths": {"ghcr.io": "s3cr:et"}}', "entry 'ghcr.io' is no object"),
        ('{"auths": {"ghcr.io": {"auth": 7}}}', "something else than texts"),
        ('{"auths": {"ghcr.io": {"auth": "s3cr:et"}}}', "no base64 of a name and a password"),
        ('{"auths": {"ghcr.io": {"auth": "czNjcmV0"}}}', "no colon"),
        ('{"auths": {"ghcr.io": {"auth": "/w=="}}}', "no base64 of"),
        ('{"credsStore": 7}', "name of a credential helper is no text"),
        ('{"credHelpers": {"ghcr.io": ["a"]}}', "name of a credential helper is no text"),
        ("\xff", "not JSON"),
        (" " * (FILE_LIMIT + 1), "longer than"),
    ],
    ids=range(13),
)
def test_a_broken_file_is_one_sentence_with_its_name(environment, docker_file, text, problem):
    docker_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidArgument, match=problem) as raised:
        find(environment)
    assert str(raised.value).startswith(f"{docker_file}: ")
    assert "s3cr" not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize("text", [" \n", "{}", '{"auths": null, "credHelpers": []}'])
def test_an_empty_file_is_none(environment, docker_file, text):
    docker_file.write_text(text)
    assert find(environment) is None


def test_a_file_that_may_not_be_read_is_said(environment, docker_file, monkeypatch):
    write(docker_file)

    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", deny)
    with pytest.raises(PermissionDenied, match=r"auth\.json: may not be read"):
        find(environment)


def test_a_folder_in_the_place_of_a_file_is_said(environment, docker_file):
    docker_file.mkdir()
    with pytest.raises(InvalidArgument, match="Is a directory"):
        find(environment)


def test_secrets_are_in_no_repr():
    credential = Credential("me", "pass", "identity", "registry")
    for text in (repr(credential), str(credential), f"{credential}", repr([credential])):
        assert "me" in text
        for secret in ("pass", "identity", "registry"):
            assert secret not in text


def test_basic_is_base64_of_both():
    assert basic(Credential("me", "pä:ss")) == "Basic bWU6cMOkOnNz"


def test_a_given_credential_is_for_everybody_and_none_for_nobody():
    credential = Credential("me", "pass")
    assert GivenCredentials(credential).find("any.example", "a/b") is credential
    assert GivenCredentials(None).find("any.example", "a/b") is None


def test_a_given_credential_of_one_host_is_shown_to_no_other(environment, docker_file):
    credential = Credential("me", "pass")
    alone = GivenCredentials(credential, host="index.docker.io")
    assert alone.find("docker.io", "a/b") is credential
    assert alone.find("mirror.example", "a/b") is None
    write(docker_file, auths={"mirror.example": entry("mirror"), "docker.io": entry("old")})
    others = GivenCredentials(credential, host="docker.io", others=FileCredentials(environment))
    assert others.find("docker.io", "a/b") is credential
    assert others.find("mirror.example", "a/b").username == "mirror"


def test_a_helper_gives_what_it_has(environment, docker_file, helper):
    helper.keep("ghcr.io", "me")
    write(docker_file, credHelpers={"ghcr.io": "keys", "quay.io": "missing"})
    assert find(environment) == ("me", SECRET, "", "")
    assert helper.log == ["get ghcr.io"]


def test_the_store_of_a_file_is_asked_for_every_host(environment, docker_file, helper):
    helper.keep("ghcr.io", "me")
    write(docker_file, credsStore="keys", auths={"ghcr.io": {}})
    assert find(environment).username == "me"
    assert find(environment, "quay.io") is None


def test_a_hosts_own_helper_comes_before_the_store(environment, docker_file, helper):
    helper.keep("ghcr.io", "me")
    write(docker_file, credsStore="missing", credHelpers={"https://ghcr.io": "keys"})
    assert find(environment).username == "me"


def test_a_repositorys_entry_comes_before_a_helper_and_a_hosts_entry_after_it(
    environment, docker_file, helper
):
    helper.keep("ghcr.io", "helped")
    auths = {"ghcr.io": entry("old"), "ghcr.io/team": entry("team"), "quay.io": entry("plain")}
    write(docker_file, credsStore="keys", auths=auths)
    assert find(environment, repository="team/a").username == "team"
    assert find(environment, repository="me/a").username == "helped"
    assert find(environment, "quay.io").username == "plain"


def test_a_helper_is_asked_for_docker_io_by_both_its_names(environment, docker_file, helper):
    write(docker_file, credsStore="keys")
    for server in (HUB, "docker.io"):
        helper.keep(server, "me")
        assert find(environment, "docker.io", "library/redis")
    assert helper.log == [f"get {HUB}", f"get {HUB}", "get docker.io"]


@pytest.mark.parametrize("name", ["<token>", ""])
def test_a_secret_without_a_name_is_a_token(environment, docker_file, helper, name):
    helper.keep("ghcr.io", name)
    write(docker_file, credsStore="keys")
    assert find(environment) == ("", "", SECRET, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "is not installed; install it, or take it out of credsStore and credHelpers"),
        ("#!/bin/sh\necho no key ring; exit 3", "failed: no key ring"),
        ("#!/bin/sh\necho no bus >&2; exit 3", "failed: no bus"),
        ("#!/bin/sh\nexit 3", "failed: 3"),
        ("#!/bin/sh\necho s3cr:et", "no JSON object"),
        ("#!/bin/sh\necho '[]'", "no JSON object"),
        ("""#!/bin/sh\necho '{{"Username": 1, "Secret": "s3cr"}}'""", "without a name and a sec"),
        ("#!/missing\n", "cannot be run: No such file"),
    ],
)
def test_a_helper_that_fails_is_one_sentence(environment, docker_file, tmp_path, text, problem):
    if text is not None:
        HelperProgram(tmp_path / "bin", "bad", text)
    write(docker_file, credsStore="bad")
    with pytest.raises(Unauthenticated, match=problem) as raised:
        find(environment)
    assert str(raised.value).startswith("ghcr.io: the credential helper docker-credential-bad ")
    assert "s3cr" not in str(raised.value)


def test_a_helper_without_a_secret_has_nothing(environment, docker_file, tmp_path):
    HelperProgram(tmp_path / "bin", "none", "#!/bin/sh\necho '{{}}'")
    write(docker_file, credsStore="none")
    assert find(environment) is None


@pytest.mark.slow
def test_a_helper_that_is_silent_is_given_up(environment, tmp_path):
    HelperProgram(tmp_path / "bin", "slow", "#!/bin/sh\nread -r line; exec sleep 60 >&- 2>&-")
    slow = Helper("slow", environment | {"PATH": f"{environment['PATH']}:/bin"}, timeout_s=0.2)
    with pytest.raises(Unauthenticated, match="gave no answer in 0 s"):
        slow.find("ghcr.io")


@pytest.mark.parametrize("name", ["a/../../evil", "a/b", "a;b", "", "-x", "a" * 200])
def test_the_name_of_a_helper_is_no_path_and_no_command(environment, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docker-credential-a").mkdir()
    for folder, program in (("docker-credential-a", "b"), (".", "evil")):
        (tmp_path / folder / program).write_text("#!/bin/sh\necho '{}'")
        (tmp_path / folder / program).chmod(0o755)
    with pytest.raises(Unauthenticated, match="is not installed"):
        Helper(name, environment).find("ghcr.io")


def keep(environment, host="ghcr.io", name="me", password=SECRET, **settings):
    return FileCredentials(environment, **settings).keep(host, Credential(name, password))


def test_what_is_kept_is_found_and_is_for_its_owner_alone(environment, docker_file):
    docker_file.parent.rmdir()
    assert keep(environment) == (docker_file, None)
    assert find(environment) == ("me", SECRET, "", "")
    assert stat.S_IMODE(docker_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(docker_file.parent.stat().st_mode) == 0o700
    assert [path.name for path in docker_file.parent.iterdir()] == ["config.json"]


def test_everything_else_in_the_file_stays(environment, docker_file):
    others = {"ghcr.io.example": entry("other"), "quay.io": {"auth": "b2xk", "email": "a@b.c"}}
    rest = {"HttpHeaders": {"X": "ä"}, "auths": others, "detachKeys": "ctrl-a", "x": [1, None]}
    write(docker_file, **rest)
    docker_file.chmod(0o644)
    keep(environment)
    content = json.loads(docker_file.read_text())
    assert content == {**rest, "auths": {**others, "ghcr.io": entry()}}
    assert list(content) == list(rest)
    assert stat.S_IMODE(docker_file.stat().st_mode) == 0o600
    FileCredentials(environment).forget("ghcr.io")
    assert json.loads(docker_file.read_text()) == rest


def test_a_new_credential_takes_the_place_of_every_old_one(environment, docker_file):
    old = {"https://ghcr.io/v1/": entry("a"), "ghcr.io": entry("b"), "ghcr.io/me": entry("c")}
    write(docker_file, auths=old)
    keep(environment)
    content = json.loads(docker_file.read_text())["auths"]
    assert content == {"https://ghcr.io/v1/": entry(), "ghcr.io/me": entry("c")}


def test_it_is_kept_where_the_hosts_credentials_are_found(environment, docker_file, tmp_path):
    podman = write(tmp_path / "run/containers/auth.json", auths={"ghcr.io": entry("old")})
    write(docker_file, auths={"ghcr.io": entry("older")})
    assert keep(environment)[0] == podman
    assert find(environment).username == "me"
    assert keep(environment, "quay.io")[0] == docker_file


def test_it_is_kept_in_the_file_that_is_named(environment, docker_file, tmp_path):
    write(docker_file, auths={"ghcr.io": entry("old")})
    auth_file = tmp_path / "new/auth.json"
    assert keep(environment, file=auth_file)[0] == auth_file
    named = environment | {"REGISTRY_AUTH_FILE": str(tmp_path / "other.json")}
    assert keep(named)[0] == tmp_path / "other.json"
    assert find(environment).username == "old"


@pytest.mark.parametrize(("name", "key"), [("config.json", HUB), ("auth.json", "docker.io")])
def test_docker_io_is_kept_under_the_name_that_each_tool_knows(environment, tmp_path, name, key):
    keep(environment, "docker.io", file=tmp_path / name)
    assert list(json.loads((tmp_path / name).read_text())["auths"]) == [key]


def test_a_helper_keeps_it_and_the_file_has_an_empty_entry(environment, docker_file, helper):
    write(docker_file, credsStore="keys")
    assert keep(environment, "docker.io") == (docker_file, "docker-credential-keys")
    assert helper.kept == {HUB: {"Username": "me", "Secret": SECRET}}
    assert json.loads(docker_file.read_text())["auths"] == {HUB: {}}
    assert SECRET not in docker_file.read_text()
    assert find(environment, "docker.io") == ("me", SECRET, "", "")
    assert FileCredentials(environment).forget("docker.io") == (docker_file,)
    assert helper.kept == {}
    assert json.loads(docker_file.read_text())["auths"] == {}


def test_an_identity_token_is_kept_as_one(environment, docker_file, helper):
    token = Credential("me", "", "token")
    FileCredentials(environment).keep("ghcr.io", token)
    assert find(environment) == token
    write(docker_file, credsStore="keys")
    FileCredentials(environment).keep("ghcr.io", token)
    assert find(environment) == ("", "", "token", "")


def test_what_is_forgotten_is_found_nowhere(environment, docker_file, home, tmp_path):
    podman = write(tmp_path / "run/containers/auth.json", auths={"ghcr.io": entry()})
    write(docker_file, auths={"https://ghcr.io": entry(), "quay.io": entry()})
    old = home / ".dockercfg"
    old.write_text(json.dumps({"ghcr.io": entry()}))
    assert FileCredentials(environment).forget("ghcr.io") == (podman, docker_file, old)
    assert find(environment) is None
    assert find(environment, "quay.io")
    assert FileCredentials(environment).forget("ghcr.io") == ()


def test_a_link_stays_one(environment, docker_file, tmp_path):
    real = write(tmp_path / "dotfiles/config.json", auths={})
    docker_file.symlink_to(real)
    keep(environment)
    assert docker_file.is_symlink()
    assert "ghcr.io" in real.read_text()


def test_a_failure_leaves_the_file_as_it_was_and_nothing_beside_it(
    environment, docker_file, monkeypatch
):
    write(docker_file, auths={})
    before = docker_file.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InvalidArgument, match=r"config\.json: No space left"):
        keep(environment)
    assert docker_file.read_bytes() == before
    assert [path.name for path in docker_file.parent.iterdir()] == ["config.json"]


def test_a_folder_that_may_not_be_written_is_said(environment, docker_file, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", deny)
    with pytest.raises(PermissionDenied, match=r"config\.json: may not be written"):
        keep(environment)


def test_many_at_once_lose_nothing(environment, docker_file):
    hosts = [f"r{number}.example" for number in range(8)]
    threads = [threading.Thread(target=keep, args=(environment, host)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(docker_file.read_text())["auths"]) == hosts
