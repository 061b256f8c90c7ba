"""What was judged, as tables and lists for a terminal."""

import re
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from estimating.figures import Figures
from estimating.judging import Judged, is_wrong
from estimating.printing import cell

#: Heading, key of `judging.figures`, and format of a column.
_COLUMNS = (
    ("all", "judged", "{}"),
    ("not\nwritten", "unwritten", "{}"),
    ("re-\nfused", "refused", "{}"),
    ("on\nhost", "on_host", "{}"),
    ("flag-\nged", "flagged", "{}"),
    ("com-\npared", "n", "{}"),
    ("MAPE", "mape", "{:.1%}"),
    ("median", "median", "{:.1%}"),
    ("in\n10 %", "within_10_percent", "{:.0%}"),
    ("no\nflag", "unflagged", "{}"),
    ("their\nMAPE", "unflagged_mape", "{:.1%}"),
    ("beyond\n25 %", "unflagged_wrong", "{:.0%}"),
    ("width", "median_width", "{:.1%}"),
    ("<\nupper", "below_upper", "{:.0%}"),
    ("memory\nin 10 %", "memory_within_10_percent", "{:.0%}"),
)


def print_groups(console: Console, title: str, groups: Mapping[str, Figures]) -> None:
    """A row a group of networks."""
    table = Table(title=title, box=SIMPLE, padding=(0, 1), pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for name, found in groups.items():
        table.add_row(name, *(cell(found, key, form) for _, key, form in _COLUMNS))
    console.print(table)


def print_one_by_one(console: Console, title: str, found: Sequence[Judged]) -> None:
    """A row a network that the compiler runs on the accelerator alone."""
    headings = ("estimate ms", "compiler ms", "error", "width", "< upper", "outside", "on host")
    table = Table("", *headings, "flagged", title=title)
    for one in (one for one in found if one.is_compared):
        truth = one.truth
        table.add_row(
            one.name,
            *(f"{one.latency_ms:.4g}", f"{truth.latency_ms:.4g}", f"{one.error:+.1%}"),
            *(f"{one.width:.1%}", "yes" if truth.latency_ms <= one.latency_ms_upper else "no"),
            *(f"{one.outside_share:.0%}", str(one.host_operators)),
            "yes" if one.is_flagged else "no",
        )
    console.print(table)


def print_wrong(console: Console, title: str, found: Sequence[Judged]) -> None:
    """Names of the estimates that are far off and do not say so, the worst first."""
    wrong = sorted(filter(is_wrong, found), key=lambda one: -abs(one.error))
    console.print(f"{title}: {len(wrong)} beyond 25 % without a flag", highlight=False)
    for one in wrong:
        console.print(
            f"  {one.name}: estimate {one.latency_ms:.4g} ms, compiler "
            f"{one.truth.latency_ms:.4g} ms ({one.error:+.0%})",
            highlight=False,
            soft_wrap=True,
        )


def print_host(console: Console, title: str, found: Figures) -> None:
    """On which networks both, one of us or neither sees operators on the host processor."""
    console.print(
        f"{title}: operators on the host processor: both say so {found['both']}, only the estimate "
        f"{found['only_ours']}, only the compiler {found['only_compiler']}, neither "
        f"{found['neither']}",
        highlight=False,
        soft_wrap=True,
    )
    for name in found["on_host_unflagged"]:
        console.print(f"  on the host and not flagged: {name}", highlight=False, soft_wrap=True)


def print_unanswered(console: Console, found: Sequence[Judged]) -> None:
    """Why networks have no answer of the compiler, a line a reason."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        if reason := one.truth.unwritten or one.truth.refused:
            # Without the operator's name, which is another one in each network.
            plain = re.sub(r"^operator '[^']*' of kind", "an operator of kind", reason)
            name = one.name if one.is_flagged else f"{one.name} (no flag)"
            reasons.setdefault(" ".join(plain.split()), []).append(name)
    for reason, names in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        text = f"no answer for {len(names)}: {reason}: {'; '.join(names)}"
        console.print(text, highlight=False, soft_wrap=True)
