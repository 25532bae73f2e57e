"""The small files: Go's times, what is written, and what is made of junk."""

import hashlib
import os
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.model.digest import Digest
from lading.stores.local import sidecars
from lading.stores.local.disk import Disk
from lading.stores.local.paths import key_of
from lading.stores.local.sidecars import Sidecars, format_time, parse_time

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
YEAR_10000 = 253_402_300_800 * SECOND
EXPECTED = Digest.of(b"abc")
GO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")
KNOWN = Sidecars("a ref", 5 * SECOND, 6 * SECOND + 7, 12, EXPECTED)

moments = st.integers(0, YEAR_10000 - 1)


# Times


@given(moments)
def test_a_time_is_read_as_it_was_written(moment):
    text = format_time(moment)
    assert GO.fullmatch(text)
    assert parse_time(text) == moment


@given(moments)
def test_a_time_is_written_as_datetime_would(moment):
    whole = datetime.fromtimestamp(moment // SECOND, UTC)
    assert format_time(moment).startswith(whole.strftime("%Y-%m-%dT%H:%M:%S"))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (100_000_000, "1970-01-01T00:00:00.1Z"),
        (1_735_689_599 * SECOND + 120_000_000, "2024-12-31T23:59:59.12Z"),
        (951_782_400 * SECOND, "2000-02-29T00:00:00Z"),
        (YEAR_10000 - 1, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_is_written_as_go_writes_it(moment, text):
    assert format_time(moment) == text
    assert parse_time(text) == moment


@given(st.integers(DAY, YEAR_10000 - DAY), st.integers(-14 * 60 + 1, 14 * 60 - 1).filter(bool))
def test_a_time_of_another_zone_is_the_same_moment(moment, minutes):
    local = format_time(moment + minutes * 60 * SECOND).removesuffix("Z")
    sign = "+" if minutes > 0 else "-"
    text = f"{local}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    assert parse_time(text) == moment


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text):
    assert parse_time(text) is None or "T" in text


@pytest.mark.parametrize(
    "text",
    ["", "now", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "24-01-01T00:00:00Z",
     "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00.1234567890Z", "2024-01-01T00:00:00Z\n",
     "2024-01-01T00:00:00z", "2024-01-01T00:00:00+0100", "٢٠٢٤-01-01T00:00:00Z",
     "2024-00-01T00:00:00Z"],
)  # fmt: skip
def test_what_go_does_not_write_is_none(text):
    assert parse_time(text) is None


def test_the_time_before_all_times_is_no_moment_of_ours():
    # Go's zero, which containerd writes for a time that it does not know.
    assert (parse_time("0001-01-01T00:00:00Z") or -1) < 0


# Files


def write(folder, known):
    sidecars.write(Disk(), folder, known)
    sidecars.write_ref(Disk(), folder, known)


def written(tmp_path, folder, known=KNOWN):
    write(folder, known)
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_what_is_known_is_written_byte_for_byte(tmp_path, folder):
    assert written(tmp_path, folder) == {
        "ref": b"a ref",
        "startedat": b"1970-01-01T00:00:05Z",
        "updatedat": b"1970-01-01T00:00:06.000000007Z",
        "total": b"12",
        "expected": EXPECTED.encode(),
    }


def test_what_is_not_known_is_not_written(tmp_path, folder):
    known = KNOWN._replace(total=None, expected=None)
    assert set(written(tmp_path, folder, known)) == {"ref", "startedat", "updatedat"}
    assert sidecars.read(folder, key_of("a ref")) == known


@settings(max_examples=30)
@given(
    st.builds(
        Sidecars,
        ref=st.text(st.characters(codec="utf-8"), min_size=1, max_size=300),
        started_ns=st.integers(1, YEAR_10000 - 1),
        updated_ns=st.integers(1, YEAR_10000 - 1),
        total=st.none() | st.integers(0, 1 << 62),
        expected=st.none() | st.binary().map(Digest.of),
        boot=st.none(),
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, known):
    path = tmp_path_factory.mktemp("sidecars")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        young = known._replace(updated_ns=known.started_ns, boot="boot")
        sidecars.begin(Disk(), folder, young)
        assert sidecars.read(folder, key_of(known.ref)) == young
        write(folder, known)
        assert sidecars.read(folder, key_of(known.ref)) == known
    finally:
        os.close(folder)


@pytest.mark.parametrize("ref", [b"", b"another", b"\xff\xfe", b"a ref\n", b"a ref" * 20_000])
def test_a_folder_whose_ref_is_not_the_one_of_its_name_is_nobodys(ref, tmp_path, folder):
    written(tmp_path, folder)
    (tmp_path / "ref").write_bytes(ref)
    assert sidecars.read(folder, key_of("a ref")) is None


@pytest.mark.parametrize("junk", [b"", b"junk", b"\xff", b"9" * 300, b"-1", b"1.5", "٣".encode()])
@pytest.mark.parametrize("name", ["startedat", "updatedat", "total", "expected"])
def test_what_cannot_be_read_is_absent(name, junk, tmp_path, folder):
    written(tmp_path, folder)
    (tmp_path / name).write_bytes(junk)
    found = sidecars.read(folder, key_of("a ref"))
    match name:
        case "startedat":
            assert found == KNOWN._replace(started_ns=0)
        case "updatedat":
            assert found == KNOWN._replace(updated_ns=KNOWN.started_ns)
        case "total":
            assert found == KNOWN._replace(total=None)
        case "expected":
            assert found == KNOWN._replace(expected=None)


@pytest.mark.parametrize("name", ["ref", "startedat", "updatedat", "total", "expected"])
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_file_is_absent_too(name, kind, tmp_path, folder):
    written(tmp_path, folder)
    path = tmp_path / name
    path.rename(tmp_path / "elsewhere")
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    found = sidecars.read(folder, key_of("a ref"))
    assert (found is None) is (name == "ref")
    assert found != KNOWN


# The beginning of a young ingest

YOUNG = KNOWN._replace(updated_ns=KNOWN.started_ns, boot="boot-1")


def begun(tmp_path, folder, known=YOUNG):
    sidecars.begin(Disk(), folder, known)
    [path] = tmp_path.iterdir()
    return path


def test_a_beginning_is_one_file_with_all_that_is_known(tmp_path, folder):
    text = f"lading-beginning 1 boot-1 1970-01-01T00:00:05Z 12 {EXPECTED}"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    path = begun(tmp_path, folder)
    assert path.name == "beginning"
    assert path.read_text() == f"{text} {checksum}\na ref"
    assert sidecars.read(folder, key_of("a ref")) == YOUNG


def test_what_a_beginning_does_not_know_is_a_dash(tmp_path, folder):
    young = YOUNG._replace(total=None, expected=None)
    assert " - - " in begun(tmp_path, folder, young).read_text()
    assert sidecars.read(folder, key_of("a ref")) == young


@pytest.mark.parametrize(
    ("before", "after"),
    [("lading-beginning", "lading-ending"), (" 1 ", " 2 "), (" 12 ", " 12 13 "), (" 12", "")],
)
def test_a_beginning_of_another_kind_is_nobodys(before, after, tmp_path, folder):
    path = begun(tmp_path, folder)
    line, _, ref = path.read_text().partition("\n")
    text = line.rpartition(" ")[0].replace(before, after, 1)
    path.write_text(f"{text} {hashlib.sha256(text.encode()).hexdigest()}\n{ref}")
    assert sidecars.read(folder, key_of("a ref")) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("12", "13", 1),
        lambda text: text.replace("\n", " "),
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: text[:20],
        lambda text: "",
        lambda text: "\udcff" + text,
    ],
)
def test_a_beginning_that_is_torn_or_of_another_ref_is_nobodys(spoil, tmp_path, folder):
    path = begun(tmp_path, folder)
    path.write_text(spoil(path.read_text()), errors="surrogateescape")
    assert sidecars.read(folder, key_of("a ref")) is None


def test_a_ref_takes_the_place_of_a_beginning(tmp_path, folder):
    path = begun(tmp_path, folder)
    (tmp_path / "ref").write_bytes(b"another ref")
    assert sidecars.read(folder, key_of("a ref")) is None
    write(folder, KNOWN)
    assert not path.exists()
    assert sidecars.read(folder, key_of("a ref")) == KNOWN


# Closing


def test_a_new_closing_time_takes_the_place_of_the_old_in_one_step(tmp_path, folder):
    calls = []

    class Recorder(Disk):
        def sync(self, file):
            calls.append("sync")
            super().sync(file)

        def replace_within(self, folder, source, target):
            calls.append(f"{source} becomes {target}")
            super().replace_within(folder, source, target)

    written(tmp_path, folder)
    sidecars.write_updated(Recorder(), folder, 9 * SECOND)
    assert calls == ["sync", "updatedat.tmp becomes updatedat"]
    assert sidecars.read(folder, key_of("a ref")) == KNOWN._replace(updated_ns=9 * SECOND)


@pytest.mark.parametrize(
    ("started", "updated", "closed"), [(5, 5, None), (5, 4, None), (5, 6, 6), (0, 6, 6)]
)
def test_an_ingest_was_closed_if_it_was_updated_after_its_start(started, updated, closed):
    assert Sidecars("r", started, updated, None, None).closed_at == closed
