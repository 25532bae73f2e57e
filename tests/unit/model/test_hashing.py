"""Hashers whose state can be written down: here, in another process, and where it cannot be."""

import array
import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.model import hashing
from lading.model.digest import ALGORITHMS, Digest

TEXT = bytes(range(256)) * 2
EACH_ALGORITHM = pytest.mark.parametrize("algorithm", ALGORITHMS)
SAVING = pytest.mark.skipif(hashing.why_not_saved() is not None, reason="no state can be saved")
BLOCKS = {"sha256": 64, "sha384": 128, "sha512": 128}
START_512 = (
    "6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1"
    "510e527fade682d19b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179"
)
WORDS = {"sha256": 32, "sha384": 64, "sha512": 64}


def hashed(algorithm, *pieces):
    hasher = hashing.hasher(algorithm)
    for piece in pieces:
        hasher.update(piece)
    return hasher


@pytest.fixture(params=["exporting", "plain"])
def kind(request, monkeypatch):
    """Hashers of both kinds: over libcrypto's contexts, and where there are none."""
    if request.param == "plain":
        monkeypatch.setattr(hashing, "_libcrypto", lambda: (None, "a reason"))
    return request.param


@EACH_ALGORITHM
def test_the_digest_is_the_one_of_hashlib_wherever_the_bytes_are_divided(algorithm, kind):
    for place in range(len(TEXT) + 1):
        hasher = hashed(algorithm, TEXT[:place], TEXT[place:])
        assert hasher.algorithm == algorithm
        assert hasher.digest() == f"{algorithm}:{hashlib.new(algorithm, TEXT).hexdigest()}"


@EACH_ALGORITHM
def test_asking_for_the_digest_does_not_end_the_hash(algorithm, kind):
    hasher = hashing.hasher(algorithm)
    for end in range(0, 300, 7):
        assert hasher.digest() == Digest.of(TEXT[:end], algorithm)
        hasher.update(TEXT[end : end + 7])


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        bytearray(TEXT),
        memoryview(TEXT),
        memoryview(bytearray(TEXT)),
        memoryview(bytearray(TEXT))[3:100],
        memoryview(TEXT)[3:100],
        memoryview(array.array("I", range(50))),
        b"",
        bytearray(),
        memoryview(b""),
    ],
    ids=lambda data: f"{type(data).__name__}-{len(data)}",
)
@EACH_ALGORITHM
def test_any_bytes_can_be_hashed(algorithm, data, kind):
    whole = bytes(data)
    assert hashed(algorithm, data, data).digest() == Digest.of(whole * 2, algorithm)


@SAVING
@EACH_ALGORITHM
def test_a_saved_hash_goes_on_wherever_it_was_saved(algorithm):
    for place in range(len(TEXT) + 1):
        state = hashed(algorithm, TEXT[:place]).save()
        assert len(state) == WORDS[algorithm] + place % BLOCKS[algorithm]
        hasher = hashing.restored(algorithm, state, place)
        assert hasher.digest() == Digest.of(TEXT[:place], algorithm)
        hasher.update(TEXT[place:])
        assert hasher.digest() == Digest.of(TEXT, algorithm)


@SAVING
@EACH_ALGORITHM
@given(pieces=st.lists(st.binary(max_size=400), max_size=8))
def test_a_hash_that_is_saved_after_each_piece_is_the_hash_of_the_whole(algorithm, pieces):
    hasher, count = hashing.hasher(algorithm), 0
    for piece in pieces:
        hasher.update(piece)
        count += len(piece)
        hasher = hashing.restored(algorithm, hasher.save(), count)
    assert hasher.digest() == Digest.of(b"".join(pieces), algorithm)


@SAVING
@pytest.mark.parametrize(
    ("algorithm", "state"),
    [
        ("sha256", "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"),
        (
            "sha512",
            START_512,
        ),
    ],
)
def test_what_is_saved_is_the_hash_value_of_the_standard(algorithm, state):
    # FIPS 180-4, 5.3: the initial hash value. No struct of any library is in it.
    assert hashing.hasher(algorithm).save().hex() == state
    assert hashed(algorithm, b"abc").save().hex() == state + b"abc".hex()


@SAVING
@EACH_ALGORITHM
def test_saving_does_not_disturb_the_hash(algorithm):
    hasher = hashed(algorithm, TEXT[:100])
    assert hasher.save() == hasher.save()
    hasher.update(TEXT[100:])
    assert hasher.digest() == Digest.of(TEXT, algorithm)


@SAVING
@EACH_ALGORITHM
def test_a_count_beyond_four_gibibytes_is_restored_whole(algorithm):
    # The count of bits is kept in two words, and its upper one begins to matter at 512 MiB.
    for count in (1 << 29, (1 << 32) + BLOCKS[algorithm], 1 << 40):
        hasher = hashing.restored(algorithm, hashing.hasher(algorithm).save(), count)
        other = hashing.restored(algorithm, hashing.hasher(algorithm).save(), 0)
        assert hasher.digest() != other.digest()
        assert hashing.restored(algorithm, hasher.save(), count).digest() == hasher.digest()


@SAVING
@EACH_ALGORITHM
@pytest.mark.parametrize(
    "change",
    [
        lambda state, count: (b"", count),
        lambda state, count: (state[:10], count),
        lambda state, count: (state[:-1], count),
        lambda state, count: (state + b"x", count),
        lambda state, count: (state, count + 1),
        lambda state, count: (state, count - 1),
        lambda state, count: (state, 0),
        lambda state, count: (state + b"x" * 200, count),
    ],
)
def test_a_state_that_does_not_fit_its_count_is_refused(algorithm, change):
    state = hashed(algorithm, TEXT[:100]).save()
    assert hashing.restored(algorithm, *change(state, 100)) is None


def test_an_algorithm_that_is_not_ours_is_refused():
    assert hashing.restored("md5", bytes(32), 0) is None


@SAVING
@pytest.mark.slow
@EACH_ALGORITHM
def test_a_hash_that_one_process_saved_another_takes_up(algorithm):
    program = (
        "import sys; from lading.model import hashing; hasher = hashing.hasher(sys.argv[1]); "
        "hasher.update(bytes(range(256)) + bytes(77)); print(hasher.save().hex())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, algorithm], capture_output=True, text=True, check=True
    )
    hasher = hashing.restored(algorithm, bytes.fromhex(ran.stdout), 256 + 77)
    hasher.update(TEXT)
    assert hasher.digest() == Digest.of(bytes(range(256)) + bytes(77) + TEXT, algorithm)


@EACH_ALGORITHM
def test_where_no_state_can_be_had_none_is_given_and_none_is_taken(algorithm, monkeypatch):
    state = hashing.hasher(algorithm).save()
    monkeypatch.setattr(hashing, "_libcrypto", lambda: (None, "a reason"))
    assert hashed(algorithm, TEXT).save() is None
    assert hashing.restored(algorithm, state or bytes(32), 0) is None
    assert hashing.why_not_saved() == "a reason"


CHANGE = (
    "from lading.model import hashing as h; h._LAYOUTS[{0!r}] = h._LAYOUTS[{0!r}]._replace({1})"
)
ABSENT = "no libcrypto with SHA-2 contexts under hashlib"
ANOTHER = "libcrypto's SHA-2 context is not the known one"


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [
        ("sys.modules['_hashlib'] = None", ABSENT),
        ("import ctypes; ctypes.CDLL = lambda name: object()", ABSENT),
        (CHANGE.format("sha256", "pending=48"), ANOTHER),
        (CHANGE.format("sha512", "number=204"), ANOTHER),
    ],
    ids=["no-openssl", "no-contexts", "another-sha256", "another-sha512"],
)
@SAVING
@pytest.mark.slow
def test_a_libcrypto_that_is_absent_or_another_is_seen_and_done_without(breakage, reason):
    program = (
        f"import sys, hashlib; {breakage}\n"
        "from lading.model import hashing\n"
        "hasher = hashing.hasher('sha256'); hasher.update(b'abc')\n"
        "assert hasher.save() is None\n"
        "assert hasher.digest() == 'sha256:' + hashlib.sha256(b'abc').hexdigest()\n"
        "print(hashing.why_not_saved())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(reason)


@SAVING
def test_where_states_can_be_saved_there_is_no_reason_why_not():
    assert hashing.why_not_saved() is None
