"""How many networks are chosen at a time, by how long a choice takes beside the trials."""

import math
from collections import deque
from dataclasses import dataclass
from itertools import islice
from statistics import median

#: The share of a search's time that choosing may take before more are chosen at a time.
SHARE = 0.05
#: Networks chosen at a time at most: what is learned from the first comes too late for the last.
MOST = 64
#: Trials that each worker must have ended, on average, before their rate says anything: workers
#: that begin together ask together, and again when their trials end together.
ROUNDS = 2
#: Choices whose median is how long one takes.
_RECENT = 4


@dataclass(frozen=True)
class _Choice:
    begun_s: float
    seconds: float
    #: Seconds of all choices before it.
    before_s: float
    trials_ended: int


class Pace:
    """Keeps choosing to a small share of the time.

    One at a time is best: each choice knows most. Where trials take seconds that costs nothing.
    Where hundreds of workers ask, or trials are over in no time, the controller would do little
    else, and workers would wait for it.
    """

    def __init__(self) -> None:
        #: How many to choose next.
        self.at_once = 1
        self._choices: deque[_Choice] = deque()
        self._spent_s = 0.0

    def note(self, begun_s: float, ended_s: float, *, trials_ended: int, workers: int) -> None:
        """Take a choice that began and ended then, after so many trials of so many workers."""
        seconds = ended_s - begun_s
        self._choices.append(_Choice(begun_s, seconds, self._spent_s, trials_ended))
        self._spent_s += seconds
        enough = ROUNDS * workers
        while len(self._choices) > _RECENT and self._ended_since(1) >= enough:
            self._choices.popleft()
        if self._ended_since(0) < enough:
            return
        first, last = self._choices[0], self._choices[-1]
        between_s = last.begun_s - first.begun_s - (last.before_s - first.before_s)
        affordable_s = max(SHARE * between_s / self._ended_since(0), 1e-9)
        usual_s = median(choice.seconds for choice in islice(reversed(self._choices), _RECENT))
        self.at_once = min(max(math.ceil(usual_s / affordable_s), 1), MOST)

    def _ended_since(self, place: int) -> int:
        return self._choices[-1].trials_ended - self._choices[place].trials_ended
