"""How many networks are chosen at a time, by how long a choice takes beside the trials."""

import math
from collections import deque
from dataclasses import dataclass
from statistics import median

#: The share of a search's time that choosing may take before more are chosen at a time.
SHARE = 0.05
#: Networks chosen at a time at most: what is learned from the first comes too late for the last.
MOST = 64
#: Choices that are looked back at.
_RECENT = 4


@dataclass(frozen=True)
class _Choice:
    begun_s: float
    ended_s: float
    handed_out: int

    @property
    def seconds(self) -> float:
        return self.ended_s - self.begun_s


class Pace:
    """Keeps choosing to a small share of the time.

    One at a time is best: each choice knows most. Where trials take seconds that costs nothing.
    Where hundreds of workers ask, or trials are over in no time, the controller would do little
    else, and workers would wait for it.
    """

    def __init__(self) -> None:
        #: How many to choose next.
        self.at_once = 1
        self._recent: deque[_Choice] = deque(maxlen=_RECENT)

    def note(self, begun_s: float, ended_s: float, handed_out: int) -> None:
        """Take a choice that began and ended then, after `handed_out` networks in all."""
        self._recent.append(_Choice(begun_s, ended_s, handed_out))
        first, last = self._recent[0], self._recent[-1]
        handed = last.handed_out - first.handed_out
        if handed == 0:
            return
        choosing_s = sum(choice.seconds for choice in list(self._recent)[:-1])
        each_s = (last.begun_s - first.begun_s - choosing_s) / handed
        affordable_s = max(SHARE * each_s, 1e-9)
        usual_s = median(choice.seconds for choice in self._recent)
        self.at_once = min(max(math.ceil(usual_s / affordable_s), 1), MOST)
