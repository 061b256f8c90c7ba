"""How far a search is, by its record alone: whether it runs, stopped, or died."""

from dataclasses import dataclass
from typing import Any

from nas_ray.record import Record
from nas_ray.report.reliability import Doubtful, doubtful, doubtful_text
from nas_ray.report.tables import Funnel, front_table, funnel
from nas_ray.report.units import duration

#: The rate is that of so many trials that ended last: the baseline, trained in full, and the start
#: of a run say little of what is to come.
_RECENT = 20


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a search is.

    `is_running` is whether a process on this machine writes to its folder, or on any machine to its
    URI; `last_event_s` when something happened last, in seconds since 1970. `retries` are attempts
    that failed and were tried again. Of `trials_wanted` that the last run was told,
    `trials_left` have not ended. `trials_per_hour` and `seconds_left` are None where too little has
    happened to tell.
    """

    is_running: bool
    last_event_s: float | None
    trials_wanted: int | None
    trials_left: int | None
    trials_per_hour: float | None
    seconds_left: float | None
    retries: int
    front: int
    funnel: Funnel
    doubtful: Doubtful


def status_of(record: Record) -> Status:
    """The status of a search, live or not."""
    counts = funnel(record)
    events = list(record.events())
    wanted = next((e["trials"] for e in reversed(events) if e["event"] == "run"), None)
    ended = counts.completed + counts.stopped_early + counts.failed
    left = None if wanted is None else max(0, wanted - ended)
    rate = _rate(events)
    return Status(
        is_running=record.is_held,
        last_event_s=events[-1].get("time") if events else None,
        trials_wanted=wanted,
        trials_left=left,
        trials_per_hour=None if rate is None else 3600 * rate,
        seconds_left=None if rate is None or left is None else left / rate,
        retries=sum(len(trial.retries) for trial in record.trials().values()),
        front=len(front_table(record)),
        funnel=counts,
        doubtful=doubtful(record),
    )


def _rate(events: list[dict[str, Any]]) -> float | None:
    """Trials that ended a second, in the last run and of late."""
    begun: float | None = None
    ends: list[float] = []
    for event in events:
        if event["event"] == "run":
            begun, ends = event.get("time"), []
        elif event["event"] == "end" and "time" in event:
            ends.append(event["time"])
    if begun is None or not ends:
        return None
    recent = ends[-_RECENT - 1 :] if len(ends) > 1 else [begun, *ends]
    passed = recent[-1] - recent[0]
    return (len(recent) - 1) / passed if passed > 0 else None


def status_text(status: Status) -> str:
    """The status for a person, in a few lines."""
    counts = status.funnel
    state, unfinished = ("running", "under way") if status.is_running else ("not running", "open")
    goal = "an unknown number of" if status.trials_wanted is None else status.trials_wanted
    trials = (
        f"{state}: {counts.completed} completed, {counts.stopped_early} stopped early, "
        f"{counts.failed} failed, {counts.running} {unfinished}, of {goal} trials"
        + (f"; {status.retries} attempts retried" if status.retries else "")
    )
    screened = (
        f"screened: {counts.costed} costed, {counts.unbuildable} could not be built, "
        f"{counts.feasible} feasible, {counts.scored} scored"
    )
    guesses = doubtful_text(status.doubtful, trained=counts.trained, front=status.front)
    return "\n".join(line for line in (trials, screened, guesses, _pace(status)) if line)


def _pace(status: Status) -> str:
    if status.trials_per_hour is None:
        return ""
    pace = f"{status.trials_per_hour:.3g} trials an hour"
    if not status.seconds_left:
        return pace
    once = "" if status.is_running else " once it goes on"
    return f"{pace}, {duration(status.seconds_left)} left{once}"
