"""Small networks of every kind that people bring, to judge an estimator on; none is in a table.

A judge, so nothing here may be used to make a table or to choose how an estimate is made. Nothing
is trained. Build them under `torch.device("meta")`: fast, no data.
"""

from . import (
    blocks,
    convolutions,
    dense,
    ends,
    excitation,
    joining,
    normalising,
    reductions,
    resizing,
    sequences,
    strides,
    tokens,
)
from .specimen import Specimen

SPECIMENS: tuple[Specimen, ...] = (
    *(*convolutions.SPECIMENS, *strides.SPECIMENS, *tokens.SPECIMENS, *reductions.SPECIMENS),
    *(*resizing.SPECIMENS, *normalising.SPECIMENS, *joining.SPECIMENS, *excitation.SPECIMENS),
    *(*sequences.SPECIMENS, *blocks.SPECIMENS, *dense.SPECIMENS, *ends.SPECIMENS),
)
