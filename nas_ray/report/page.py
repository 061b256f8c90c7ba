"""The report of a search: one HTML file that needs no other file, no script and no network."""

import os
import shlex
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from nas_ray.errors import RecordError
from nas_ray.record import Record, Trial
from nas_ray.report.comparison import compare_front
from nas_ray.report.curves import curves_plot
from nas_ray.report.markup import (
    Html,
    details,
    document,
    paragraph,
    picture,
    preformatted,
    section,
    table,
)
from nas_ray.report.plot import front_plot
from nas_ray.report.reliability import doubtful, doubtful_text
from nas_ray.report.settings import constraints_of, objectives_of, settings_of
from nas_ray.report.tables import front_table, funnel

_SAME, _NOT_IN_USE = "·", "–"
_REASONS_SHOWN = 10


def write_page(record: Record, path: str | Path) -> None:
    """Write the report of `record` to `path`, whole or not at all.

    Raises RecordError where it cannot be written.
    """
    target = Path(path).expanduser()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    content = _page(record)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(content, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise RecordError(
            f"the report {target} cannot be written: {error}. The search itself is kept in "
            f"{record.name}; name another file."
        ) from error


def _page(record: Record) -> Html:
    space = settings_of(record).space
    return document(
        f"Search report: {space}" if space else "Search report",
        _searched(record),
        _funnel(record),
        _front(record),
        _choices(record),
        _curves(record),
        _failures(record),
        _checkpoints(record),
        _resuming(record),
    )


def _searched(record: Record) -> Html:
    settings = settings_of(record)
    objectives = ", ".join(f"{o.metric} ({o.direction})" for o in objectives_of(record))
    rows = [
        ("space", f"{settings.space or 'unnamed'}, {len(settings.choices)} choices"),
        ("device", settings.device or "none"),
        ("objectives", objectives),
        ("constraints", ", ".join(map(str, constraints_of(record))) or "none"),
        ("seed", "not recorded" if settings.seed is None else settings.seed),
        ("epochs at most", settings.max_epochs or "not recorded"),
        ("storage", record.name),
    ]
    note = (
        f"Latency and memory on this page are estimates for {settings.device}, made from a table "
        f"of {settings.device_note}."
        if settings.device_note
        else "Costs on this page are as they were reported; the record does not say how they came "
        "about."
    )
    choices = [
        (name, ", ".join(map(str, choice.get("options", ()))), _when(choice))
        for name, choice in settings.choices.items()
    ]
    return section(
        "What was searched",
        table(("setting", "value"), rows, words=True),
        paragraph(note),
        details("The choices", table(("choice", "options", "in use when"), choices, words=True)),
    )


def _when(choice: Any) -> str:
    conditions = choice.get("when", {}).items()
    return " and ".join(f"{name} is {' or '.join(map(str, v))}" for name, v in conditions)


def _funnel(record: Record) -> Html:
    counts = funnel(record)
    rows = [
        ("candidates costed", counts.costed),
        ("of these without a network: their build failed", counts.unbuildable),
        ("of these within the constraints", counts.feasible),
        ("of these scored without training", counts.scored),
        ("trained (with the baseline)", counts.trained),
        ("of these stopped early", counts.stopped_early),
        ("of these failed", counts.failed),
        ("of these still running or interrupted", counts.running),
        ("of these completed", counts.completed),
        ("on the front", len(front_table(record))),
    ]
    return section("How many came how far", table(("stage", "networks"), rows))


def _front(record: Record) -> Html:
    cells = compare_front(record)
    rule = (
        "The front: completed networks within the constraints that no other beats in every "
        "objective. Per cents are relative to the baseline: (value - baseline) / baseline."
    )
    empty = () if cells.front else (paragraph("No network is on the front yet."),)
    trained = len(record.trials())
    guesses = doubtful_text(doubtful(record), trained=trained, front=len(cells.front))
    return section(
        "Pareto front",
        picture(front_plot(record), "front", f"Pareto front of {len(cells.front)} networks"),
        table(cells.head, cells.front, first=cells.baseline),
        *empty,
        *((paragraph(f"{guesses}."),) if guesses else ()),
        paragraph(rule),
    )


def _choices(record: Record) -> Html:
    """One column a member: what it chose where it differs from the baseline."""
    title = "How the front differs from the baseline"
    baseline, front = settings_of(record).baseline, front_table(record)
    configs: list[dict[str, Any]] = list(front["config"])
    names = dict.fromkeys([*baseline, *(name for config in configs for name in config)])
    rows = [
        [name, baseline.get(name, _NOT_IN_USE), *(_choice(name, baseline, c) for c in configs)]
        for name in names
    ]
    differing = [row for row in rows if any(cell != _SAME for cell in row[2:])]
    if not differing:
        return section(title, paragraph("No network on the front differs from the baseline."))
    head = ("choice", "baseline", *(f"trial {number}" for number in front["trial"]))
    legend = f"{_SAME} same as the baseline, {_NOT_IN_USE} not in use in that network"
    return section(title, table(head, differing), paragraph(legend))


def _choice(name: str, baseline: Any, config: dict[str, Any]) -> object:
    same = name in config and name in baseline and config[name] == baseline[name]
    absent = name not in config and name not in baseline
    return _SAME if same or absent else config.get(name, _NOT_IN_USE)


def _curves(record: Record) -> Html:
    return section(
        "Learning curves", picture(curves_plot(record), "curves", "Learning curves of all trials")
    )


def _failures(record: Record) -> Html:
    failed = [t for t in record.trials().values() if t.status == "failed"]
    parts = [_unbuildable(record)]
    if not failed:
        parts.append(paragraph("No trial failed."))
    parts += [_failure(f"trial {t.number}", t.error, t) for t in failed]
    for trial in record.trials().values():
        parts += [
            _failure(f"trial {trial.number}, attempt {attempt}, was retried", error, trial)
            for attempt, error in enumerate(trial.retries, start=1)
        ]
    return section("Failures", *parts)


def _failure(title: str, error: str, trial: Trial) -> Html:
    lines = error.strip().splitlines() or ["no reason was recorded"]
    config = "\n".join(f"{name}: {value}" for name, value in trial.config.items())
    return details(f"{title}: {lines[-1]}", preformatted(f"{error.strip()}\n\nconfig:\n{config}"))


def _unbuildable(record: Record) -> Html:
    reasons: Counter[str] = Counter()
    for batch in record.batches():
        reasons.update(batch.unbuildable)
    if not reasons:
        return paragraph("Every config could be built.")
    shown = "\n\n".join(reason for reason, _ in reasons.most_common(_REASONS_SHOWN))
    return details(f"{reasons.total()} configs could not be built", preformatted(shown))


def _checkpoints(record: Record) -> Html:
    front = front_table(record)
    rows = [
        (number, checkpoint or "none was kept")
        for number, checkpoint in zip(front["trial"], front["checkpoint"], strict=True)
    ]
    where = f"Trained networks are below {record.name}/checkpoints, one folder a trial."
    members = (table(("trial", "checkpoint"), rows, words=True),) if rows else ()
    return section("Checkpoints", paragraph(where), *members)


def _resuming(record: Record) -> Html:
    """What resumes the search; TASK and N, which the record does not know, are left to fill in."""
    settings = settings_of(record)
    words = ["nas-ray", "search", "TASK", "--trials", "N"]
    for option, value in (
        ("--device", settings.device or None),
        ("--epochs", settings.max_epochs),
        ("--seed", settings.seed),
        *(("--constraint", one) for one in _bounds(record)),
        ("--storage", record.name),
    ):
        words += [] if value is None else [option, shlex.quote(str(value))]
    return section(
        "How to resume",
        paragraph(
            "The same search with the same storage goes on where this one ended; with more trials "
            "it goes further. From Python, call nas_ray.search as before with this storage."
            + (" Its URI had a query, which is not shown here." if "?" in record.place.uri else "")
        ),
        preformatted(" ".join(words)),
    )


def _bounds(record: Record) -> list[str]:
    """Constraints as the command line takes them, one a bound."""
    found = []
    for one in constraints_of(record):
        found += [f"{one.metric}<={one.upper}"] if one.upper < float("inf") else []
        found += [f"{one.metric}>={one.lower}"] if one.lower > float("-inf") else []
    return found
