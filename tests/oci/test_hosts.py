"""Who answers for a registry is what containerd, podman and docker would make of the same files."""

import threading

import pytest

from lading.errors import InvalidArgument
from lading.oci.access.hosts import Hosts
from lading.oci.access.hosts_file import FILE_LIMIT, MIRRORS_LIMIT
from lading.oci.transport.http import Tls


@pytest.fixture
def tree(tmp_path):
    return tmp_path / "certs.d"


def write(tree, registry, text, name="hosts.toml"):
    folder = tree / registry
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def of(tree, registry, **settings):
    return Hosts([tree], **settings).of(registry)


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("registry.example", "https://registry.example/v2"),
        ("registry.example:5000", "https://registry.example:5000/v2"),
        ("docker.io", "https://registry-1.docker.io/v2"),
        ("[2001:db8::1]:5000", "https://[2001:db8::1]:5000/v2"),
    ],
)
def test_a_registry_is_its_own_host(tree, registry, url):
    (host,) = of(tree, registry)
    assert (host.url, host.registry) == (url, registry)
    assert host.capabilities == {"resolve", "pull", "push"}
    assert not host.is_mirror
    assert not host.falls_back
    assert host.account == registry


@pytest.mark.parametrize("registry", ["localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_a_loopback_host_may_speak_plain_http_and_is_asked_in_tls_first(tree, registry):
    hosts = Hosts([tree])
    (host,) = hosts.of(registry)
    assert host.url == f"https://{registry}/v2"
    assert host.falls_back
    learned = hosts.learn(host, plain=True)
    assert (learned.url, learned.falls_back) == (f"http://{registry}/v2", False)
    assert hosts.of(registry) == (learned,)


def test_what_spoke_tls_once_is_not_asked_in_plain_afterwards(tree):
    hosts = Hosts([tree])
    (host,) = hosts.of("localhost:5000")
    assert hosts.learn(host, plain=False).url.startswith("https:")
    assert hosts.learn(host, plain=True).url.startswith("https:")


def test_only_a_host_that_falls_back_can_turn_out_to_be_plain(tree):
    hosts = Hosts([tree])
    for registry in ("registry.example:5000", "localhost:443", "localhost", "[::1]"):
        (host,) = hosts.of(registry)
        assert hosts.learn(host, plain=True) == host


def test_plain_http_is_for_registries_whose_scheme_no_file_names(tree):
    write(tree, "registry.example", 'server = "https://registry.example"')
    assert of(tree, "registry.example", plain_http=True)[0].url == "https://registry.example/v2"
    assert of(tree, "docker.io", plain_http=True)[0].url == "https://registry-1.docker.io/v2"
    (host,) = of(tree, "other.example:80", plain_http=True)
    assert (host.url, host.falls_back) == ("http://other.example:80/v2", False)


def test_a_file_names_mirrors_in_its_order_and_the_registry_is_last(tree):
    folder = write(
        tree,
        "docker.io",
        """
        server = "https://registry-1.docker.io"
        [host."https://z.example"]
        capabilities = ["pull"]
        ca = "z.crt"
        [host."http://a.example:5000/hub"]
        capabilities = ["Pull", "resolve", "referrers"]
        skip_verify = true
        [host."https://a.example/some/api"]
        override_path = true
        client = [["a.cert", "a.key"], ["/b.pem", ""], "c.pem"]
        [host."https://a.example/some/api".header]
        x-one = "1"
        x-two = ["2", "3"]
        ["host"."d.example/v2/"]
        ca = ["/d.crt", "e.crt"]
        client = "d.pem"
        """,
    )
    z, hub, api, d, own = of(tree, "docker.io")
    assert (z.url, z.capabilities) == ("https://z.example/v2", {"pull"})
    assert z.tls == Tls((f"{folder}/z.crt",))
    assert (hub.url, hub.capabilities) == ("http://a.example:5000/hub/v2", {"pull", "resolve"})
    assert hub.tls == Tls(verifies=False)
    assert hub.name == hub.account == "a.example:5000"
    assert api.url == "https://a.example/some/api"
    pairs = ((f"{folder}/a.cert", f"{folder}/a.key"), ("/b.pem", None), (f"{folder}/c.pem", None))
    assert api.tls.identities == pairs
    assert api.headers == {"x-one": "1", "x-two": "2, 3"}
    assert d.url == "https://d.example/v2"
    assert d.tls == Tls(("/d.crt", f"{folder}/e.crt"), ((f"{folder}/d.pem", None),))
    assert (own.url, own.account) == ("https://registry-1.docker.io/v2", "docker.io")
    assert [host.is_mirror for host in (z, hub, api, d, own)] == [True] * 4 + [False]
    assert {host.registry for host in (z, hub, api, d, own)} == {"docker.io"}
    assert api.capabilities == {"resolve", "pull", "push"}


def test_without_a_server_the_registry_itself_has_what_the_file_says_at_its_top(tree):
    folder = write(
        tree, "localhost:5000", 'ca = "a.crt"\n[header]\nx = "y"\n[host."https://m.example"]'
    )
    _, own = of(tree, "localhost:5000")
    assert own.url == "https://localhost:5000/v2"
    assert own.tls == Tls((f"{folder}/a.crt",))
    assert own.headers == {"x": "y"}
    assert not own.falls_back  # who has certificates means TLS


def test_another_server_is_told_for_which_registry_it_is_asked(tree):
    write(tree, "registry.example", 'server = "https://other.example"')
    (host,) = of(tree, "registry.example")
    assert (host.is_mirror, host.account) == (True, "other.example")


@pytest.mark.parametrize("name", ["registry.example_5000_", "registry.example:5000", "_default"])
def test_a_folder_is_found_by_each_of_its_names(tree, name):
    write(tree, name, 'server = "https://found.example"')
    assert of(tree, "registry.example:5000")[0].name == "found.example"


def test_the_name_with_underscores_comes_first_and_default_last(tree):
    for place, name in enumerate(("_default", "r.example:1", "r.example_1_")):
        write(tree, name, f'server = "https://s{place}.example"')
    assert of(tree, "r.example:1")[0].name == "s2.example"


def test_a_registrys_own_folder_comes_before_a_default_of_an_earlier_tree(tmp_path):
    write(tmp_path / "a", "_default", 'server = "https://default.example"')
    write(tmp_path / "b", "r.example", 'server = "https://own.example"')
    hosts = Hosts([tmp_path / "a", tmp_path / "b"])
    assert hosts.of("r.example")[0].name == "own.example"
    assert hosts.of("other.example")[0].name == "default.example"


def test_a_folder_without_a_file_has_certificates_in_dockers_way(tree):
    for name in ("b.crt", "a.crt", "me.cert", "me.key", "you.cert", "notes.txt"):
        folder = write(tree, "r.example", "", name)
    (host,) = of(tree, "r.example")
    assert host.tls.authorities == (f"{folder}/a.crt", f"{folder}/b.crt")
    assert host.tls.identities == (
        (f"{folder}/me.cert", f"{folder}/me.key"),
        (f"{folder}/you.cert", None),
    )


def test_a_folder_that_says_nothing_is_passed_over(tmp_path):
    (tmp_path / "a" / "r.example").mkdir(parents=True)
    write(tmp_path / "b", "r.example", "", "a.crt")
    (host,) = Hosts([tmp_path / "a", tmp_path / "missing", tmp_path / "b"]).of("r.example")
    assert host.tls.authorities


def test_what_is_said_for_every_host_holds_for_each(tree):
    write(tree, "r.example", 'ca = "/a.crt"\n[host."https://m.example"]')
    for host in of(tree, "r.example", verifies=False, authorities=("/all.crt",)):
        assert not host.tls.verifies
        assert host.tls.authorities[-1:] == ("/all.crt",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server = ", "not TOML"),
        ("\x00", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
        ("server = 1", "server is not a text"),
        ('server = "ftp://a"', "no http or https address"),
        ('server = "https://"', "no http or https address"),
        ('server = "https://a:b"', "no http or https address"),
        ('server = "https://me:secret@a"', "credentials do not belong"),
        ('[host."https://a?x=y"]', "no http or https address"),
        ("host = 1", "host is not a table"),
        ("[host]\na = 1", "host 'a': not a table"),
        ('[host."a"]\ncapabilities = ["fly"]', "host 'a': there is no capability 'fly'"),
        ('[host."a"]\ncapabilities = [1]', "neither a text nor a list of texts"),
        ('[host."a"]\nca = 1', "neither a text nor a list of texts"),
        ('[host."a"]\nskip_verify = "no"', "neither true nor false"),
        ('[host."a"]\nclient = 1', "client is neither"),
        ('[host."a"]\nclient = [["a", "b", "c"]]', "client is neither"),
        ('[host."a"]\nheader = 1', "header is not a table"),
        ('[host."a".header]\nx = 1', "neither a text nor a list of texts"),
        ('[host."a".header]\nx = "a\\nb"', "cannot be sent"),
        ('[host."a".header]\n"x y" = "a"', "cannot be sent"),
        ("#" * (FILE_LIMIT + 1), "longer than"),
        ("".join(f'[host."{n}.example"]\n' for n in range(MIRRORS_LIMIT + 1)), "more than"),
    ],
    ids=range(23),
)
def test_a_broken_file_is_one_sentence_with_its_name(tree, text, problem):
    folder = write(tree, "r.example", text)
    with pytest.raises(InvalidArgument) as raised:
        of(tree, "r.example")
    sentence = str(raised.value)
    assert sentence.startswith(f"{folder}/hosts.toml: ")
    assert problem in sentence
    assert "secret" not in sentence


@pytest.mark.parametrize("registry", ["../etc", "", ".", "_default", "a/b", "a" * 300, "a b"])
def test_what_is_no_registry_never_becomes_a_path(tree, registry):
    write(tree, "_default", 'server = "https://default.example"')
    with pytest.raises(InvalidArgument, match="is no registry"):
        of(tree, registry)


def test_a_folder_that_may_not_be_read_counts_only_where_the_user_named_it(
    tree, tmp_path, monkeypatch
):
    def deny(*_):
        raise PermissionError(13, "Permission denied", str(tree / "r.example/hosts.toml"))

    monkeypatch.setattr("lading.oci.access.hosts_file._read_folder", deny)
    with pytest.raises(InvalidArgument, match="Permission denied"):
        of(tree, "r.example")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LADING_HOSTS", raising=False)
    assert Hosts().of("r.example")[0].url == "https://r.example/v2"


def test_trees_are_found_where_the_environment_says(tmp_path, monkeypatch):
    for name in ("one", "two", "configuration/lading/certs.d"):
        write(tmp_path / name, f"{name[:3]}.example", 'server = "https://found.example"')
    monkeypatch.setenv("LADING_HOSTS", f"{tmp_path}/one:{tmp_path}/two")
    assert Hosts().of("one.example")[0].is_mirror
    assert Hosts().of("two.example")[0].is_mirror
    monkeypatch.delenv("LADING_HOSTS")
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{tmp_path}/configuration")
    assert Hosts().of("con.example")[0].is_mirror
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "home/.config/lading/certs.d", "hom.example", 'server = "found.example"')
    assert Hosts().of("hom.example")[0].is_mirror


def test_a_file_is_read_once(tree):
    write(tree, "r.example", 'server = "https://one.example"')
    hosts = Hosts([tree])
    first = hosts.of("r.example")
    write(tree, "r.example", 'server = "https://two.example"')
    found = []
    threads = [threading.Thread(target=lambda: found.append(hosts.of("r.example"))) for _ in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [first] * 3


def test_a_host_is_a_value_that_hides_its_headers(tree):
    write(tree, "r.example", '[header]\nauthorization = "secret"')
    one, other = of(tree, "r.example"), of(tree, "r.example")
    assert len({one, other}) == 1
    assert "secret" not in repr(one)
