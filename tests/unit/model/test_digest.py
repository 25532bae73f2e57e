"""A digest is always right: a bad one cannot be made."""

import copy
import hashlib
import json
import pickle

import pytest

from lading.errors import InvalidArgument, InvalidDigest
from lading.model.digest import ALGORITHMS, Digest, is_hex_of

LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
# From FIPS 180-4's examples, the message "abc".
ABC = {
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha384": (
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
        "8086072ba1e7cc2358baeca134c825a7"
    ),
    "sha512": (
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    ),
}
A = "a" * 64
GOOD = f"sha256:{A}"

BAD = {
    "nothing": "",
    "a colon": ":",
    "an algorithm": "sha256",
    "no hash": "sha256:",
    "no algorithm": f":{A}",
    "a bare hash": A,
    "one digit less": f"sha256:{A[1:]}",
    "one digit more": f"sha256:{A}a",
    "another algorithm's length": f"sha512:{A}",
    "an algorithm that is not ours": f"md5:{'a' * 32}",
    "an algorithm that was": f"sha1:{'a' * 40}",
    "an algorithm of the same length": f"sha3-256:{A}",
    "an algorithm with a suffix": f"sha256+b64:{A}",
    "the algorithm in capitals": f"SHA256:{A}",
    "a hash in capitals": f"sha256:{A.upper()}",
    "one capital": f"sha256:{A[1:]}F",
    "a letter that is no digit": f"sha256:{A[1:]}g",
    "a hyphen": f"sha256:{A[1:]}-",
    "a sign": f"sha256:+{A[1:]}",
    "an underscore": f"sha256:a_{A[2:]}",
    "a prefix": f"sha256:0x{A[2:]}",
    "another separator": f"sha256-{A}",
    "a colon too many": f"sha256::{A}",
    "a colon inside": f"sha256:{A[2:]}:a",
    "two digests": f"sha256:{A}sha256:{A}",
    "a newline at the end": f"{GOOD}\n",
    "a newline for the last digit": f"{GOOD[:-1]}\n",
    "a newline at the start": f"\n{GOOD}",
    "a blank at the end": f"{GOOD} ",
    "a blank at the start": f" {GOOD}",
    "a blank in the middle": f"sha256: {A[1:]}",
    "a NUL at the end": f"{GOOD}\0",
    "a NUL for a digit": f"sha256:{A[1:]}\0",
    "Arabic digits": f"sha256:{'٣' * 64}",
    "fullwidth digits": "sha256:" + "\uff11" * 64,
    "fullwidth letters": "sha256:" + "\uff41" * 64,
    "mathematical digits": "sha256:" + "\U0001d7cf" * 64,
    "superscripts": f"sha256:{'²' * 64}",
    "a Cyrillic a": "sha256:" + "\u0430" * 64,
    "a combining mark": f"sha256:{A[1:]}\u0301",
    "a surrogate": f"sha256:{A[1:]}\ud800",
    "a fullwidth colon": f"sha256\uff1a{A}",
    "a long s": f"\u017fha256:{A}",
    "a path": f"sha256:../../{'a' * 58}",
    "a path before": f"../sha256:{A}",
    "a folder": f"sha256/{A}",
    "a placeholder": f"sha256:{'%61' * 21}a",
}


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_a_digest_of_each_algorithm_is_taken_apart(algorithm):
    text = f"{algorithm}:{ABC[algorithm]}"
    for digest in (Digest(text), Digest.parse(text), Digest.known_good(algorithm, ABC[algorithm])):
        assert type(digest) is Digest
        assert (digest.algorithm, digest.hex) == (algorithm, ABC[algorithm])
        assert digest == text
        assert str(digest) == f"{digest}" == text


@pytest.mark.parametrize("algorithm", LENGTHS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_digest_is_computed_of_bytes_in_any_form(algorithm, kind):
    digest = Digest.of(kind(b"abc"), algorithm)
    assert type(digest) is Digest
    assert digest == f"{algorithm}:{ABC[algorithm]}"


def test_a_digest_is_sha256_where_nothing_else_is_said():
    assert Digest.of(b"") == f"sha256:{hashlib.sha256(b'').hexdigest()}"


def test_there_are_three_algorithms():
    assert tuple(LENGTHS) == ALGORITHMS


@pytest.mark.parametrize(
    "algorithm", ["md5", "sha1", "SHA256", "sha3_256", "blake2b", "", "sha256:"]
)
def test_no_digest_is_computed_with_another_algorithm(algorithm):
    with pytest.raises(InvalidDigest):
        Digest.of(b"abc", algorithm)


@pytest.mark.parametrize("make", [Digest, Digest.parse], ids=["Digest", "parse"])
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_text_that_is_no_digest_is_refused(make, text):
    with pytest.raises(InvalidDigest) as refusal:
        make(text)
    assert refusal.value.text == text
    # The message can be printed and sent, whatever the text was, and stays on one line.
    assert str(refusal.value).encode()
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_hash_is_asked_for_by_the_same_rule(text):
    algorithm, _, hash_part = text.partition(":")
    assert not is_hex_of(algorithm, hash_part)


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_a_hash_of_each_algorithm_has_its_own_length(algorithm):
    right = LENGTHS[algorithm]
    lengths = [length for length in range(right + 2) if is_hex_of(algorithm, "0" * length)]
    assert lengths == [right]


def test_a_hash_is_made_of_sixteen_characters():
    characters = map(chr, range(0x10000))
    taken = [character for character in characters if is_hex_of("sha256", A[1:] + character)]
    assert "".join(taken) == "0123456789abcdef"


def test_a_huge_text_is_refused_with_a_short_message():
    for text in (f"sha256:{'a' * 10_000_000}", "a" * 10_000_000, f"{'a' * 10_000_000}:{A}"):
        with pytest.raises(InvalidDigest) as refusal:
            Digest(text)
        assert len(str(refusal.value)) < 300


def test_a_bad_digest_is_an_invalid_argument():
    with pytest.raises(InvalidArgument):
        Digest("sha256:")


def test_digests_sort_as_their_texts():
    digests = [Digest.of(bytes([number]), name) for number in range(20) for name in ALGORITHMS]
    assert sorted(digests) == sorted(map(str, digests))
    assert Digest.known_good("sha256", "0" * 64) < Digest.known_good("sha256", "a" * 64)
    assert Digest.of(b"x", "sha256") < Digest.of(b"x", "sha384") < Digest.of(b"x", "sha512")


def test_a_digest_is_found_by_its_text_and_by_its_like():
    digest = Digest.of(b"abc")
    named = {digest: "abc"}
    assert named[Digest(str(digest))] == named[str(digest)] == "abc"
    assert Digest.of(b"abd") not in named


def test_a_digest_goes_through_json_pickle_and_copy():
    digest = Digest.of(b"abc")
    assert json.loads(json.dumps({"digest": digest})) == {"digest": str(digest)}
    for twin in (pickle.loads(pickle.dumps(digest)), copy.copy(digest), copy.deepcopy(digest)):  # noqa: S301 - our own
        assert type(twin) is Digest
        assert twin == digest


def test_nothing_can_be_stored_in_a_digest():
    with pytest.raises(AttributeError):
        Digest.of(b"abc").size = 3
