"""What an operator can be has a column, and each column says whether the table holds its like."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn

from nas_ray.estimate.coverage import coverage_of
from nas_ray.estimate.operator_table import COLUMNS_OF, LABELS, RANGED, operator_table
from nas_ray.graph import Operator, trace

#: Fields that are labels of an operator and mean nothing for its cost.
NAMES = {"name", "weight"}


def test_each_field_of_an_operator_has_a_column():
    """A new field would be priced in silence; a column that no rule reads is none."""
    assert COLUMNS_OF.keys() == {field.name for field in fields(Operator)} - NAMES
    named = {column for columns in COLUMNS_OF.values() for column in columns}
    assert named - {"kind"} == {*LABELS, *RANGED}


def test_the_columns_are_there():
    """The table has each column that a rule reads."""
    graph = trace(nn.Conv2d(3, 8, 3), (torch.empty(1, 3, 8, 8),))
    assert {*LABELS, *RANGED, "kind"} <= operator_table([graph]).columns.keys()


def _like_table():
    """Convolutions of many sizes, each attribute of several values."""
    graphs = [
        trace(
            nn.Conv2d(channels, 2 * channels, kernel, stride, kernel // 2),
            (torch.empty(1, channels, side, side),),
        )
        for channels in (8, 16, 32)
        for kernel in (1, 3, 5)
        for stride in (1, 2)
        for side in (8, 16, 32)
    ]
    table = operator_table(graphs)
    return table, coverage_of(table, np.ones(len(table), dtype=np.bool_))


@pytest.mark.parametrize("column", RANGED)
def test_an_attribute_that_leaves_the_range_is_outside(column):
    """One attribute far beyond every operator of the kind is enough, all others as they were."""
    table, coverage = _like_table()
    columns = {name: values.copy() for name, values in table.columns.items()}
    columns[column][5] = 1e3 * max(1.0, columns[column].max())
    changed = replace(table, columns=columns)
    assert not coverage.is_outside(table).any()
    assert np.flatnonzero(coverage.is_outside(changed)).tolist() == [5]


@pytest.mark.parametrize("column", LABELS)
def test_a_label_that_no_operator_of_the_kind_has_is_outside(column):
    """A variant, an activation, a padding that is nowhere in the table."""
    table, coverage = _like_table()
    columns = {name: values.copy() for name, values in table.columns.items()}
    columns[column][5] = 77.0
    changed = replace(table, columns=columns)
    assert np.flatnonzero(coverage.is_outside(changed)).tolist() == [5]
