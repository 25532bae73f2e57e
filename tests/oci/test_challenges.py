"""What a 401 asks for is understood, however loosely it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.oci.access.challenges import LINE_LIMIT, LINES_LIMIT, read_challenges

REALM = "https://auth.example/token"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('Basic realm="a"', [("basic", {"realm": "a"})]),
        ("Basic", [("basic", {})]),
        (
            f'Bearer realm="{REALM}",service="a b",scope="repository:a:pull,push"',
            [("bearer", {"realm": REALM, "service": "a b", "scope": "repository:a:pull,push"})],
        ),
        (
            'Basic realm="a, Bearer b", Bearer realm="c", service=d',
            [("basic", {"realm": "a, Bearer b"}), ("bearer", {"realm": "c", "service": "d"})],
        ),
        (r'Basic realm="say \"a\" \\"', [("basic", {"realm": r'say "a" \ '[:-1]})]),
        ("Negotiate, Basic realm=a", [("negotiate", {}), ("basic", {"realm": "a"})]),
    ],
)
def test_challenges_are_read_as_the_rule_has_them(line, expected):
    assert list(read_challenges([line])) == expected


@pytest.mark.parametrize(
    "line",
    [
        'bearer REALM="https://auth.example/token", Service="s"',
        "Bearer realm=https://auth.example/token,service=s",
        'Bearer realm="https://auth.example/token" service="s"',
        ' ,, Bearer  realm = "https://auth.example/token" ,, service = s,',
        'Bearer realm="https://auth.example/token",service="s',
        '"", =, Bearer realm="https://auth.example/token", service=s',
        'Bearer realm="https://auth.example/token",service=s,realm="https://other.example"',
    ],
)
def test_what_is_wrong_is_passed_over(line):
    (challenge,) = read_challenges([line])
    assert challenge.scheme == "bearer"
    assert (challenge.get("realm"), challenge.get("service")) == (REALM, "s")
    assert challenge.get("scope") == ""


def test_each_line_stands_for_itself():
    lines = ['Bearer realm="a', 'Basic realm="b"']
    assert read_challenges(lines) == (("bearer", {"realm": "a"}), ("basic", {"realm": "b"}))


def test_parameters_without_a_scheme_are_nobodys():
    assert read_challenges(['realm="a"', "", ","]) == ()


def test_only_so_much_is_read():
    assert len(read_challenges(["Basic"] * (LINES_LIMIT + 1))) == LINES_LIMIT
    (challenge,) = read_challenges(["Basic realm=" + "a" * LINE_LIMIT + ", Bearer realm=b"])
    assert len(challenge.get("realm")) < LINE_LIMIT


@given(st.text(alphabet=' ",=\\aB:\t\x00é', max_size=60))
def test_no_line_is_a_traceback(line):
    for challenge in read_challenges([line]):
        assert challenge.scheme
        assert challenge.scheme == challenge.scheme.lower()
