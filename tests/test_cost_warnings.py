"""Reasons why an estimate is less certain are one line each, with the share that they concern."""

import pytest

from nas_ray.estimate.cost import SubgraphCost
from nas_ray.estimate.cost_warnings import cost_warnings
from nas_ray.estimate.host_rules import HostOperator


def row(name: str, latency_ms: float, *, outside: bool = True, kind: str = "conv") -> SubgraphCost:
    return SubgraphCost(
        name=name,
        kind=kind,
        signature="",
        shape_in=(1,),
        shape_out=(1,),
        latency_ms=latency_ms,
        peak_memory_bytes=1,
        weight_bytes=1,
        macs=1,
        outside=outside,
    )


INSIDE = row("body", 6.0, outside=False)


def test_a_network_of_what_the_table_holds_has_no_warning():
    assert cost_warnings([INSIDE], 0.0, [], []) == ()


@pytest.mark.parametrize(
    ("rows", "share", "part", "where"),
    [
        (
            [INSIDE, row("stem", 2.0)],
            0.25,
            "25 % of the latency (2 of 8 ms)",
            "1 subgraph that the table has too little like, 'stem' (conv): a guess",
        ),
        (
            [row("a", 0.5), INSIDE, row("b", 1.5, kind="conv+add+conv"), row("c", 0.0)],
            0.25,
            "25 % of the latency (2 of 8 ms)",
            "3 subgraphs that the table has too little like, most in 'b' (conv+add): a guess",
        ),
        (
            [row("a", 0.006, kind="mean+linear+mul+add"), INSIDE],
            0.001,
            "less than 1 % of the latency (0.006 of 6 ms)",
            "1 subgraph that the table has too little like, 'a' (mean+linear+mul+...): a guess",
        ),
        (
            [INSIDE, row("a", 18.0)],
            0.75,
            "75 % of the latency (18 of 24 ms)",
            (
                "1 subgraph that the table has too little like, 'a' (conv): a guess, "
                "and so is the upper end"
            ),
        ),
    ],
    ids=["one", "several", "hardly_any", "most"],
)
def test_all_subgraphs_outside_the_table_are_one_line_with_their_share(rows, share, part, where):
    assert cost_warnings(rows, share, [], []) == (f"{part} is in {where}",)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["aten.cumsum"], "operator aten.cumsum is not known: only the traffic counts"),
        (list("abcde"), "5 operators a, b, c and 2 more are not known: only the traffic counts"),
    ],
    ids=["one", "many"],
)
def test_all_unknown_operators_are_one_line(names, line):
    assert cost_warnings([INSIDE], 0.0, names, []) == (line,)


def on_host(name: str, reason: str = "by 2 alone") -> HostOperator:
    return HostOperator(name=name, kind="resize", reason=reason)


@pytest.mark.parametrize(
    ("operators", "said"),
    [
        ([on_host("a")], "1 operator runs {}: 'a' (resize: by 2 alone)"),
        (
            [*map(on_host, "abcd"), on_host("e", "by 4")],
            "5 operators run {}: 'a', 'b', 'c' and 1 more (resize: by 2 alone); 'e' (resize: by 4)",
        ),
    ],
    ids=["one", "many"],
)
def test_all_operators_on_the_host_are_one_line_with_each_reason_once(operators, said):
    line = said.format("on the host processor, for a time that is a guess")
    assert cost_warnings([INSIDE], 0.0, [], operators) == (line,)
