"""An Optuna study made without a word on the terminal: people did not ask for one."""

from collections.abc import Sequence
from typing import Any, Literal

import optuna


def new_study(
    directions: Sequence[Literal["minimize", "maximize"]], **settings: Any
) -> optuna.Study:
    """`optuna.create_study` without its message; others keep the verbosity they set."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(directions=list(directions), **settings)
    finally:
        optuna.logging.set_verbosity(verbosity)
