"""The tiny job with training slow enough to be interrupted; named on the command line by tests."""

from tiny_job import data, space
from tiny_job import slow_task as task

__all__ = ["data", "space", "task"]
