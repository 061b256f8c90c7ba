"""One look for every figure. No pyplot, so there are no global figures.

Colours are from Okabe and Ito (2008); shapes and line styles say the same without colour.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Text and axes; the page replaces it by the colour of its own text, light or dark.
INK = "#24292f"
FRONT, BASELINE, OTHER = "#0072b2", "#d55e00", "#8c8c8c"

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10.0,
    "grid.alpha": 0.25,
    "grid.color": OTHER,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": INK,
    # A dollar sign in the name of a metric is no formula.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def canvas(*, height: float, nothing: str) -> Iterator[tuple[Figure, Axes]]:
    """A figure of `height` inches to draw on; then the legend, or `nothing` where nothing is."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.add_subplot()
        axes.margins(0.08)
        yield figure, axes
        # Many lines may bear one label; the legend shows it once.
        handles, labels = axes.get_legend_handles_labels()
        legend = dict(zip(labels, handles, strict=True))
        if legend:
            figure.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=3)
        else:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center")
