"""The example in docs/on-disk-format.md is what lading writes, and says what the page says."""

import hashlib
import json
import os
import re
import stat
import struct
from typing import NamedTuple

import pytest

from lading import Digest, LocalStore
from lading.model import hashing
from lading.model.reference import Reference
from lading.oci.uploads.sessions import LIFE_NS, UploadSessions
from lading.stores.local.disk import Disk
from tests.architecture.pages import ROOT, blocks, rows

PAGE = (ROOT / "docs" / "on-disk-format.md").read_text()
BLOCKS = {block.mark: block.code for block in blocks(PAGE)}
FILES = {
    mark.removeprefix("file: "): code.removesuffix("\n").encode()
    for mark, code in BLOCKS.items()
    if mark.startswith("file: ")
}
SLOT = 4096
SLOTS = {
    int(mark.removeprefix("slot: ")): " ".join(code.split()).encode() + b"\n"
    for mark, code in BLOCKS.items()
    if mark.startswith("slot: ")
}
UPLOAD = json.loads(BLOCKS["upload"])
REF = FILES["ref"].decode()
KEY = hashlib.sha256(REF.encode()).hexdigest()
WHOLE = b"0123456789" * 12
BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
OPENED_NS = 1_750_000_000_000_000_000
CLOSED_NS = OPENED_NS + 2_500_000_000

needs_state = pytest.mark.skipif(
    hashing.why_not_saved() is not None, reason="no hash state can be saved here"
)


class ExampleDisk(Disk):
    """The real disk on the example's machine, at the example's time."""

    now_ns = OPENED_NS

    def boot_id(self):
        return BOOT

    def write(self, file, data, offset):
        count = super().write(file, data, offset)
        os.utime(file, ns=(self.now_ns, self.now_ns))
        return count


@pytest.fixture
def root(tmp_path):
    """A root in which lading has written the ingest of the example."""
    disk = ExampleDisk()
    store = LocalStore(tmp_path / "root", disk=disk, clock=lambda: disk.now_ns)
    with store.writer(REF, total=len(WHOLE), expected=Digest.of(WHOLE)) as writer:
        disk.now_ns = CLOSED_NS
        writer.write(FILES["data"])
    return store.root


def checkpoint():
    """The file that the page describes."""
    content = bytearray(2 * SLOT + len(SLOTS[2]))
    for number, line in SLOTS.items():
        content[number * SLOT : number * SLOT + len(line)] = line
    return bytes(content)


class Mark(NamedTuple):
    """A slot's words, in the order of the page's table."""

    magic: str
    version: str
    kind: str
    offset: str
    algorithm: str
    boot: str
    updated: str
    mtime: str
    tail: str
    state: str
    checksum: str


def mark_in(slot):
    return Mark(*SLOTS[slot].decode().split())


def test_the_files_of_the_example_are_what_lading_writes(root):
    folder = root / "ingest" / KEY
    assert KEY in PAGE
    assert {path.name for path in folder.iterdir()} == {*FILES, "checkpoint", "lock"}
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_the_beginning_of_the_example_is_what_lading_writes(tmp_path):
    disk = ExampleDisk()
    store = LocalStore(tmp_path / "root", disk=disk, clock=lambda: disk.now_ns)
    with store.writer(REF, total=len(WHOLE), expected=Digest.of(WHOLE)) as writer:
        writer.write(FILES["data"])
        folder = store.root / "ingest" / KEY
        assert {path.name for path in folder.iterdir()} == {"beginning", "data", "lock"}
        line = " ".join(BLOCKS["young: beginning"].split())
        assert (folder / "beginning").read_text() == f"{line}\n{REF}"
        assert line.endswith(hashlib.sha256(line.rpartition(" ")[0].encode()).hexdigest())


def test_the_lock_says_who_holds_it_and_since_when(root):
    text = (root / "ingest" / KEY / "lock").read_text()
    assert re.fullmatch(rf"{os.getpid()} {OPENED_NS} \S+ .+\n", text)


def test_modes_are_those_of_the_page(root):
    LocalStore(root).add(WHOLE)
    umask = os.umask(0o077)  # there is no other way to ask for it
    os.umask(umask)
    digest = Digest.of(WHOLE)
    for name, mode in {
        "": 0o755,
        "blobs": 0o755,
        "blobs/sha256": 0o755,
        f"blobs/sha256/{digest.hex}": 0o666 & ~0o333,
        "ingest": 0o777,
        f"ingest/{KEY}": 0o777,
        **{f"ingest/{KEY}/{name}": 0o666 for name in (*FILES, "checkpoint", "lock")},
    }.items():
        assert stat.S_IMODE((root / name).stat().st_mode) == mode & ~umask, name


def test_lading_reads_and_writes_the_upload_of_the_example(tmp_path):
    sessions = UploadSessions(tmp_path / "uploads", clock=lambda: CLOSED_NS)
    reference = Reference(UPLOAD["registry"], UPLOAD["repository"])
    key = hashlib.sha256("\n".join([*reference[:2], UPLOAD["digest"]]).encode()).hexdigest()
    sessions.folder.mkdir()
    (sessions.folder / f"{key}.json").write_text(BLOCKS["upload"])
    with sessions.of(reference, Digest(UPLOAD["digest"])) as remembered:
        session = remembered.read()
        assert session.offset == UPLOAD["offset"]
        assert session.deadline_ns == CLOSED_NS + LIFE_NS
        remembered.write(session)
    assert (sessions.folder / f"{key}.json").read_text() == BLOCKS["upload"]
    names = {field.strip("`") for cells in rows(PAGE) for field in cells[0].split()}
    assert names >= set(UPLOAD)


@needs_state
def test_the_checkpoint_of_the_example_is_what_lading_writes(root):
    assert (root / "ingest" / KEY / "checkpoint").read_bytes() == checkpoint()


@needs_state
def test_lading_resumes_the_example_from_its_page(tmp_path):
    folder = tmp_path / "root" / "ingest" / KEY
    folder.mkdir(parents=True)
    for name, content in {**FILES, "checkpoint": checkpoint()}.items():
        (folder / name).write_bytes(content)
    os.utime(folder / "data", ns=(CLOSED_NS, CLOSED_NS))
    store = LocalStore(tmp_path / "root", disk=ExampleDisk())
    with store.writer(REF) as writer:
        assert writer._ingest.hashed == writer.offset == len(FILES["data"])
        writer.write(WHOLE[writer.offset :])
        assert store.read(writer.commit().digest) == WHOLE


@pytest.mark.parametrize("slot", SLOTS)
def test_each_word_of_a_mark_is_what_the_page_says(slot):
    mark = mark_in(slot)
    line = SLOTS[slot].removesuffix(b"\n")
    offset = int(mark.offset)
    assert mark.checksum == hashlib.sha256(line.rpartition(b" ")[0]).hexdigest()
    assert mark.tail == hashlib.sha256(FILES["data"][:offset]).hexdigest()
    assert mark.updated.encode() == FILES["startedat" if slot else "updatedat"]
    assert int(mark.mtime) == (0 if slot else CLOSED_NS)
    assert mark.kind == ("live" if slot else "durable")


# FIPS 180-4 once more, so that the page's state is read by code that is not ours and not OpenSSL's.


def primes(count):
    found = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def cube_root_fraction(number):
    """The first 32 bits of the fraction of a cube root."""
    root = 0
    for bit in reversed(range(35)):
        if (root | 1 << bit) ** 3 <= number << 96:
            root |= 1 << bit
    return root & 0xFFFFFFFF


CONSTANTS = [cube_root_fraction(prime) for prime in primes(64)]


def rotated(word, *counts):
    result = 0
    for count in counts:
        result ^= (word >> count | word << 32 - count) & 0xFFFFFFFF
    return result


def compressed(state, block):
    schedule = list(struct.unpack(">16I", block))
    for at in range(16, 64):
        early, late = schedule[at - 15], schedule[at - 2]
        small = rotated(early, 7, 18) ^ early >> 3
        large = rotated(late, 17, 19) ^ late >> 10
        schedule.append((schedule[at - 16] + small + schedule[at - 7] + large) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(CONSTANTS, schedule, strict=True):
        one = h + rotated(e, 6, 11, 25) + (e & f ^ ~e & g) + constant + word
        two = rotated(a, 2, 13, 22) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (one + two) & 0xFFFFFFFF, a, b, c, (d + one) & 0xFFFFFFFF, e, f, g
    return [
        (old + new) & 0xFFFFFFFF for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)
    ]


@pytest.mark.parametrize("slot", SLOTS)
def test_any_sha256_can_take_up_the_state_where_the_page_says(slot):
    saved, offset = bytes.fromhex(mark_in(slot).state), int(mark_in(slot).offset)
    state, pending = list(struct.unpack_from(">8I", saved)), saved[32:]
    assert pending == FILES["data"][offset - offset % 64 : offset]
    rest = pending + WHOLE[offset:] + b"\x80"
    rest += bytes(-(len(rest) + 8) % 64) + struct.pack(">Q", len(WHOLE) * 8)
    for start in range(0, len(rest), 64):
        state = compressed(state, rest[start : start + 64])
    assert f"sha256:{struct.pack('>8I', *state).hex()}".encode() == FILES["expected"]
