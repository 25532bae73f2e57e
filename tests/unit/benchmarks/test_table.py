"""The table of the benchmarks says yes where the promise is kept, and only there."""

import pytest
from benchmarks import table
from benchmarks.material import MIB

TIMES = {"lading": [1.0, 1.0, 1.0], "go": [1.8, 1.8, 1.8]}


@pytest.mark.parametrize(("at_least", "met"), [(1.7, True), (1.8, True), (1.9, False)])
def test_the_rival_has_to_take_so_many_times_as_long(at_least, met):
    row = table.faster("ingest", TIMES, ours="lading", rival="go", at_least=at_least)
    assert row.met is met
    assert row.cells == (
        *("ingest", "1.00 s", "1.80 s", "1.80 (1.80 to 1.80)", f"≥ {at_least}"),
        "yes" if met else "NO",
    )


@pytest.mark.parametrize(("at_most", "met"), [(1.7, False), (1.8, True), (1.9, True)])
def test_we_may_take_so_many_times_as_long(at_most, met):
    row = table.slower("start", TIMES, ours="go", rival="lading", at_most=at_most)
    assert row.met is met
    assert row.target == f"≤ {at_most}"


def test_where_nothing_was_promised_nothing_is_judged():
    row = table.faster("add", TIMES, ours="lading", rival="go", at_least=None)
    assert row.met is None
    assert row.cells[-2:] == ("", "")


def test_the_ratio_is_of_the_medians_and_its_range_of_single_rounds():
    times = {"lading": [1.0, 2.0, 4.0], "go": [2.0, 6.0, 4.0]}
    row = table.faster("ingest", times, ours="lading", rival="go", at_least=1.8)
    assert row.ratio == "2.00 (1.00 to 3.00)"


def test_a_size_has_a_limit_and_no_rival():
    assert table.within("growth", 64 * MIB, limit=64 * MIB).met
    assert not table.within("growth", 64 * MIB + 1, limit=64 * MIB).met


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12.345, "12.3 s"),
        (1.0, "1.00 s"),
        (0.774, "774 ms"),
        (0.0023, "2.30 ms"),
        (4e-6, "4.00 µs"),
    ],
)
def test_a_duration_has_three_figures_and_no_zeros_in_front(seconds, text):
    assert table.duration(seconds) == text


def test_the_columns_of_a_terminal_line_up():
    rows = [table.within(what, MIB, limit=64 * MIB) for what in ("a", "much longer")]
    lines = table.text(rows).splitlines()
    assert len({line.index("MiB") for line in lines[1:]}) == 1


def test_a_page_gets_a_table_of_markdown():
    row = table.within("growth", MIB, limit=64 * MIB)
    assert table.markdown([row]).splitlines()[-1] == (
        "| growth | 1.00 MiB |  |  | ≤ 64 MiB | yes |"
    )
