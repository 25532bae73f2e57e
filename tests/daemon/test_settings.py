"""What a daemon is told: by flags, by the environment and by a file, in this order."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from lading.cli.quantities import duration
from lading.daemon.listeners import UnixListener
from lading.daemon.settings import (
    WORKERS_LIMIT,
    Source,
    of_environment,
    of_file,
    of_flags,
    settings,
)
from lading.errors import InvalidArgument
from lading.metadata.schedule import Thresholds

HERE = ["/run/l.sock"]
FULL = """
root = "/srv/lading"
metadata = "postgresql://db/lading"
listen = ["unix:///run/a.sock", "/run/b.sock,namespace=k8s"]
sharing = "isolated"
processes = 2
workers = 8
grace = "1m30s"
log-level = "debug"
log-format = "json"

[collection]
pause = 0.5
deletions = 3
mutations = 0
delay = "2s"
startup = "0"
poll = "250ms"
"""


def chosen(*sources, runtime="/run/user/1000"):
    return settings(sources, duration=duration, root="/usual", runtime=runtime)


@pytest.fixture
def file(folder):
    def written(text):
        path = folder / "lading.toml"
        path.write_text(text)
        return of_file(path)

    return written


def test_a_file_can_say_everything(file):
    found = chosen(file(FULL))
    assert vars(found) == {
        "root": Path("/srv/lading"),
        "metadata": "postgresql://db/lading",
        "listen": (UnixListener(Path("/run/a.sock")), UnixListener(Path("/run/b.sock"), "k8s")),
        "sharing": "isolated",
        "processes": 2,
        "workers": 8,
        "grace": timedelta(seconds=90),
        "log_level": "debug",
        "log_format": "json",
        "thresholds": Thresholds(
            pause=0.5,
            deletions=3,
            mutations=0,
            delay=timedelta(seconds=2),
            startup=timedelta(0),
            poll=timedelta(milliseconds=250),
        ),
    }


def test_who_says_nothing_gets_the_usual(folder):
    found = chosen(of_flags({"root": os.fspath(folder), "listen": ()}))
    assert found.metadata == f"sqlite:///{folder}/metadata.db"
    assert (found.sharing, found.processes, found.workers) == ("shared", 1, 256)
    assert found.grace == timedelta(seconds=10)
    assert (found.log_level, found.log_format) == ("info", "logfmt")
    assert found.thresholds == Thresholds()
    assert chosen().root == Path("/usual")


def test_a_root_is_made_absolute_and_the_database_with_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = chosen(of_flags({"root": "here", "listen": HERE}))
    assert found.root == folder / "here"
    assert found.metadata == f"sqlite:///{folder}/here/metadata.db"


@pytest.mark.parametrize(
    ("user", "runtime", "expected"),
    [(0, "/run/user/0", "/run"), (0, None, "/run"), (1000, "/run/user/1000", "/run/user/1000")],
)
def test_the_usual_socket_is_the_systems_for_root_and_the_users_for_others(
    monkeypatch, user, runtime, expected
):
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr("sys.platform", "linux")
    (listener,) = chosen(runtime=runtime).listen
    assert listener == UnixListener(Path(f"{expected}/lading/lading.sock"))


def test_who_has_no_directory_for_sockets_has_to_say_where(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(InvalidArgument, match="say where to listen"):
        chosen(runtime=None)


def test_flags_come_before_the_environment_and_that_before_the_file(file):
    flags = of_flags({"workers": "1", "collection": ("poll=1s",), "listen": HERE, "grace": None})
    environment = of_environment(
        {"LADING_WORKERS": "2", "LADING_GRACE": "2s", "LADING_COLLECTION": "poll=2s,delay=2s"}
    )
    text = 'workers = 3\ngrace = "3s"\nlog-level = "error"\n[collection]\npoll = "3s"\npause = 0.3'
    found = chosen(flags, environment, file(text))
    assert (found.workers, found.grace, found.log_level) == (1, timedelta(seconds=2), "error")
    assert found.thresholds == Thresholds(
        poll=timedelta(seconds=1), delay=timedelta(seconds=2), pause=0.3
    )


def test_the_environment_has_each_setting_by_its_name_and_an_empty_one_is_none():
    environment = {
        "LADING_ROOT": "/srv",
        "LADING_METADATA": "sqlite:////srv/m.db",
        "LADING_LISTEN": "/run/a.sock,namespace=a  tcp://127.0.0.1:0,insecure",
        "LADING_SHARING": "isolated",
        "LADING_LOG_FORMAT": "json",
        "LADING_LOG_LEVEL": "",
    }
    found = chosen(of_environment(environment))
    assert (found.root, found.metadata) == (Path("/srv"), "sqlite:////srv/m.db")
    assert [str(each) for each in found.listen] == ["unix:///run/a.sock", "tcp://127.0.0.1:0"]
    assert (found.sharing, found.log_format, found.log_level) == ("isolated", "json", "info")


def test_variables_of_other_verbs_are_no_settings():
    chosen(of_environment({"LADING_NAMESPACE": "a", "LADING_PROGRESS": "bar", "OTHER": "x"}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('rot = "/srv"', "rot: no such setting; there are root, metadata, listen, sharing, "),
        ("log_level = 'info'", "log_level: no such setting"),
        ("[collection]\npuase = 0.1", "collection.puase: no such setting"),
        ("[listen]\naddress = 'x'", "listen has to be a list of addresses"),
        ("collection = 5", "collection: no such setting"),
        ("root = 5", "root has to be a folder, not 5"),
        ("root = ''", "root has to be a folder, not ''"),
        ("listen = [5]", "listen has to be a list of addresses, not [5]"),
        ("listen = []", "listen has to be at least one address"),
        ("listen = ['run']", "listen: not an address to listen on: 'run'"),
        ("sharing = true", "sharing has to be shared or isolated, not yes"),
        ("sharing = ['shared']", "sharing has to be shared or isolated"),
        ("workers = '8 '", "workers has to be a whole number from 1 to 4096, not '8 '"),
        ("workers = true", "workers has to be a whole number"),
        ("workers = 1.5", "workers has to be a whole number"),
        ("workers = 0", "workers has to be a whole number"),
        ("processes = 0", "processes has to be a whole number from 1 to 64"),
        (f"workers = {WORKERS_LIMIT + 1}", "workers has to be a whole number"),
        (f"workers = '{'9' * 10_000}'", "workers has to be a whole number"),
        ("grace = 10", "grace has to be a span such as 10s, in quotes, not 10"),
        ("grace = '9000h'", "grace has to be at most 366d, not '9000h'"),
        ("[collection]\ndelay = '367d'", "collection.delay has to be at most 366d"),
        ("grace = '10'", "grace: not a duration: '10'"),
        ("log-level = 'loud'", "log-level has to be debug, info, warning or error, not 'loud'"),
        ("[collection]\npause = 0", "collection.pause has to be a share above 0, at most 0.5"),
        ("[collection]\npause = nan", "collection.pause has to be a share"),
        ("[collection]\npause = 'some'", "collection.pause has to be a share"),
        ("[collection]\npause = true", "collection.pause has to be a share"),
        ("[collection]\ndeletions = -1", "collection.deletions has to be a whole number from 0"),
        ("[collection]\npoll = '0s'", "collection.poll has to be longer than nothing, not '0s'"),
        ("root =", "Invalid value"),
        ("# " + "x" * (1 << 20), "too large for settings"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_sentence_that_names_the_place(file, folder, text, problem):
    with pytest.raises(InvalidArgument) as refused:
        chosen(file(text))
    said = str(refused.value)
    assert said.startswith(f"{folder}/lading.toml: ")
    assert problem in said
    assert "\n" not in said


def test_a_file_that_is_not_there_or_no_text_is_one_sentence(folder):
    with pytest.raises(InvalidArgument, match="No such file"):
        of_file(folder / "absent.toml")
    (folder / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        of_file(folder / "bytes")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (of_flags({"workers": "many"}), "--workers has to be a whole number"),
        (of_flags({"collection": ("poll=0",)}), "--collection poll has to be longer"),
        (of_flags({"collection": ("later",)}), "--collection later: no such setting"),
        (of_environment({"LADING_LOG_LEVEL": "x"}), "$LADING_LOG_LEVEL has to be debug"),
        (of_environment({"LADING_COLLECTION": "pause=2"}), "$LADING_COLLECTION has to be a share"),
    ],
)
def test_what_is_wrong_elsewhere_names_its_place_too(source, problem):
    with pytest.raises(InvalidArgument) as refused:
        chosen(source)
    assert str(refused.value).startswith(problem)


def test_what_is_wrong_is_told_even_where_it_does_not_count(file):
    with pytest.raises(InvalidArgument, match="workers"):
        chosen(of_flags({"workers": "1"}), file("workers = 'many'"))


def test_one_path_twice_is_refused():
    same = Source({"listen": ["/run/a.sock,namespace=a", "unix:///run/a.sock"]}, str)
    with pytest.raises(InvalidArgument, match=r"/run/a\.sock is there twice"):
        chosen(same)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workers", "many"], "--workers has to be a whole number from 1 to 4096, not 'many'"),
        (["--config", "absent.toml"], "absent.toml: No such file or directory"),
        (["--listen", "tcp://192.0.2.1:1,insecure"], "only a loopback address may be insecure"),
        (["--namespace", "n"], "--listen ADDRESS,namespace=NAME"),
    ],
)
def test_the_command_says_it_in_one_line_and_exits_with_2(launch, words, sentence):
    code, said = launch(*words).ended()
    assert code == 2
    (line,) = said.splitlines()
    assert line.startswith("lading: ")
    assert sentence in line
