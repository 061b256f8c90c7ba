"""The record of a search for people: tables, plots, the terminal, one self-contained HTML page."""

from nas_ray.report.console import pareto_table, status_line
from nas_ray.report.curves import curves_plot
from nas_ray.report.page import write_page
from nas_ray.report.plot import front_plot
from nas_ray.report.reliability import Doubtful
from nas_ray.report.result import SearchResult
from nas_ray.report.settings import constraints_of, objectives_of
from nas_ray.report.status import Status, status_of, status_text
from nas_ray.report.tables import Funnel, baseline_row, front_table, funnel, trials_table

__all__ = [
    "Doubtful",
    "Funnel",
    "SearchResult",
    "Status",
    "baseline_row",
    "constraints_of",
    "curves_plot",
    "front_plot",
    "front_table",
    "funnel",
    "objectives_of",
    "pareto_table",
    "status_line",
    "status_of",
    "status_text",
    "trials_table",
    "write_page",
]
