"""One tree of errors: every mistake a person can make ends in a subclass of `NasRayError`.

A message states the rule, the value that broke it, and the way out. The command line prints the
message alone; in a program the class says which part refused.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class NasRayError(Exception):
    """Base of everything this package raises on purpose."""


class SpaceError(NasRayError):
    """A search space, a choice or a config that breaks a rule of the space."""


class TraceError(NasRayError):
    """A model that cannot be traced, or a graph that a score cannot read."""


class DeviceError(NasRayError):
    """A device that does not exist, or a profile or table that is not sound."""


class MeasureError(NasRayError):
    """A back-end that is missing, or that could not measure a graph."""


class ScoreError(NasRayError):
    """A network that a zero-shot score cannot be computed for."""


class InfeasibleError(NasRayError):
    """Constraints that no network of the space meets."""


class SearchError(NasRayError):
    """A search set up or told in a way that cannot work."""


class InterruptedSearchError(NasRayError):
    """A search that was stopped by hand; what it found is kept and the same call goes on."""


class RecordError(NasRayError):
    """A storage folder that cannot be written, or that another search wrote."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The part of a message that helps with a mistyped `name`: `did you mean 'x'? Known: ...`."""
    names = sorted(known)
    matches = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."
