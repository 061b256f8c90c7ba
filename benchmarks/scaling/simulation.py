"""A thousand workers without any: one controller, by discrete events and measured service times.

A worker asks, trains, reports epoch by epoch, is stopped or ends, and asks again. All of that
passes one controller, one event after another; who waits for it trains nothing meanwhile. Scoring
runs in tasks of its own and only its results pass the controller.
"""

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_ray.tune.pace import Pace


@dataclass(frozen=True, kw_only=True)
class Service:
    """Seconds of the controller for one event of each kind.

    Networks are chosen in plans: `plan_s` for each, whatever is known learned anew, and `choose_s`
    for each network of it. How many to a plan is decided as in a search.
    """

    plan_s: float
    choose_s: float
    suggest_s: float
    report_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """How trials are: `epoch_s` each, log-normal between trials, `epochs` of the few that end.

    Rungs after 1, 3, 9, ... epochs let one in `reduction_factor` go on.
    """

    workers: int
    trials: int
    epoch_s: float
    epochs: int = 9
    reduction_factor: int = 3
    spread: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Hours it took, share of the time that the controller was busy and that workers trained."""

    hours: float
    controller_busy: float
    workers_training: float
    events_per_s: float
    at_once: int


class _Plans:
    """Networks that were chosen and wait to be handed out."""

    def __init__(self, service: Service, workers: int) -> None:
        self.pace = Pace()
        self._service = service
        self._workers = workers
        self._left = 0

    def take(self, now_s: float, *, trials_ended: int) -> float:
        """Hand out one; seconds of choosing, where none was left."""
        seconds = 0.0
        if self._left == 0:
            self._left = self.pace.at_once
            seconds = self._service.plan_s + self._left * self._service.choose_s
            self.pace.note(now_s, now_s + seconds, trials_ended=trials_ended, workers=self._workers)
        self._left -= 1
        return seconds


def simulated(load: Load, service: Service, seed: int) -> Outcome:
    """Run `load.trials` trials through one controller."""
    rng = np.random.default_rng(seed)
    arrivals = [(0.0, worker, 0, 0.0, 0.0) for worker in range(load.workers)]
    free_s = busy_s = trained_s = 0.0
    begun = events = 0
    plans = _Plans(service, load.workers)
    # An event is (when it arrives, worker, epochs trained so far, epochs to train, s an epoch).
    while arrivals:
        arrives_s, worker, epoch, wanted, epoch_s = heapq.heappop(arrivals)
        begins_s = max(arrives_s, free_s)
        if epoch < wanted:
            service_s = service.report_s
        else:
            service_s = service.suggest_s + (service.report_s + service.end_s if epoch else 0.0)
            if begun == load.trials:
                continue
            service_s += plans.take(begins_s, trials_ended=max(begun + 1 - load.workers, 0))
            begun += 1
            epoch, wanted = 0, _epochs(load, rng)
            epoch_s = load.epoch_s * float(np.exp(load.spread * rng.standard_normal()))
        free_s = begins_s + service_s
        busy_s += service_s
        events += 1
        trained_s += epoch_s
        heapq.heappush(arrivals, (free_s + epoch_s, worker, epoch + 1, wanted, epoch_s))
    return Outcome(
        hours=free_s / 3600,
        controller_busy=busy_s / free_s,
        workers_training=trained_s / (free_s * load.workers),
        events_per_s=events / free_s,
        at_once=plans.pace.at_once,
    )


def _epochs(load: Load, rng: np.random.Generator) -> int:
    epochs = 1
    while epochs < load.epochs and rng.random() < 1 / load.reduction_factor:
        epochs = min(load.epochs, epochs * load.reduction_factor)
    return epochs


def table(service: Service, workers: int, trials: int, seed: int) -> list[dict[str, Any]]:
    """Outcomes for networks that train from seconds to minutes an epoch."""
    rows = []
    for epoch_s in (1.0, 10.0, 60.0, 600.0):
        load = Load(workers=workers, trials=trials, epoch_s=epoch_s)
        found = simulated(load, service, seed)
        rows.append({"epoch_s": epoch_s, **found.__dict__})
    return rows
