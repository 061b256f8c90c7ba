"""One search on one task, by one worker or several that finish in random order."""

from typing import Any

import numpy as np

from searching.methods import METHODS
from searching.tasks import Task, answer


def run(task: Task, method: str, seed: int, workers: int = 1) -> list[int]:
    """Rows of the table in the order of their answers; ends early where the search is over.

    With several workers each asks as soon as it is free, and the next to finish is drawn at random.
    """
    search = METHODS[method](task, seed)
    rng = np.random.default_rng([seed, workers])
    rows: list[int] = []
    asked: list[dict[str, Any]] = []
    while len(rows) < task.queries:
        while len(asked) < min(workers, task.queries - len(rows)):
            try:
                asked.append(search.ask())
            except StopIteration:
                break
        if not asked:
            break
        config = asked.pop(int(rng.integers(len(asked))))
        search.tell(config, answer(task, config))
        rows.append(task.table.row(config))
        if task.is_over(rows[-1]):
            break
    return rows
