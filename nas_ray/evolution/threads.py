"""Linear algebra on one thread: its matrices here are small, and trials train beside it."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    # Finding the libraries takes milliseconds, which every ask would pay.
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Hold numpy and scikit-learn to one thread."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1)
    return limited
