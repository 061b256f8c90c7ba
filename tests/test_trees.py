"""Trees as arrays: they say what scikit-learn says, for every row alone."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from nas_ray.estimate.boosting import fit_trees, trees_of
from nas_ray.estimate.trees import from_arrays


def rows_of(count, seed):
    """Six features, one of them whole numbers; a tenth of all is not known."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 3, (count, 6))
    rows[:, 2] = rng.integers(0, 4, count)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


def law(rows):
    """Not knowing is worth something too, so NaN goes left here and right there."""
    known = np.nan_to_num(rows, nan=2.5)
    return np.sin(known[:, 0]) + known[:, 1] * (known[:, 2] > 1) + np.isnan(rows[:, 3])


ROWS, NEW = rows_of(1400, 0), rows_of(900, 1)


@pytest.fixture(autouse=True)
def _one_thread():
    """On shared cores several are slower by far."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="module")
def model():
    return fit_trees(ROWS, law(ROWS))


@pytest.mark.parametrize(
    "options",
    [{}, {"max_leaf_nodes": 2}, {"max_leaf_nodes": 200, "min_samples_leaf": 1}],
    ids=["usual", "stumps", "deep"],
)
@pytest.mark.parametrize("rows", [ROWS, NEW, NEW * 100], ids=["seen", "new", "far_outside"])
def test_they_predict_what_scikit_learn_predicts(options, rows):
    regressor = HistGradientBoostingRegressor(max_iter=20, early_stopping=False, **options)
    regressor.fit(ROWS, law(ROWS))
    ours = trees_of(regressor).predict(rows)
    assert ours == pytest.approx(regressor.predict(rows), rel=1e-12, abs=1e-12)


def test_rows_on_a_threshold_go_where_scikit_learn_sends_them():
    """Values of the training rows themselves and whole numbers lie on bin edges."""
    rows = np.repeat(np.arange(40.0), 5)[:, None]
    regressor = HistGradientBoostingRegressor(max_iter=30, min_samples_leaf=1, max_bins=20)
    regressor.fit(rows, rows[:, 0] ** 2)
    edges = np.unique(trees_of(regressor).threshold)[:, None]
    near = np.concatenate([rows, edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    ours = trees_of(regressor).predict(near)
    assert ours == pytest.approx(regressor.predict(near), rel=1e-12, abs=1e-12)


def test_nothing_known_is_a_prediction_too(model):
    assert np.isfinite(model.predict(np.full((1, 6), np.nan))).all()


def test_a_law_is_learned(model):
    """The noise-free law on new rows; the best constant leaves all of the variance."""
    error = model.predict(NEW) - law(NEW)
    assert np.var(error) < 0.1 * np.var(law(NEW))


@pytest.mark.parametrize("size", [1, 7, 255, 256, 257])
def test_the_number_of_a_row_does_not_depend_on_its_batch(model, size):
    """To the last bit."""
    together = model.predict(NEW)
    parts = [model.predict(NEW[n : n + size]) for n in range(0, 300 * min(size, 3), size)]
    found = np.concatenate(parts)
    assert found.tolist() == together[: len(found)].tolist()


def test_nothing_asked_is_nothing_predicted(model):
    assert model.predict(np.zeros((0, 6))).shape == (0,)


def test_the_same_rows_give_the_same_trees(model):
    again = fit_trees(ROWS, law(ROWS))
    for name, values in model.arrays("").items():
        assert again.arrays("")[name].tobytes() == values.tobytes()


def test_arrays_are_all_there_is(model):
    back = from_arrays(model.arrays("some_prefix_"), "some_prefix_")
    assert back.predict(NEW).tolist() == model.predict(NEW).tolist()


def test_arrays_under_another_name_are_not_found(model):
    with pytest.raises(KeyError):
        from_arrays(model.arrays("one_"), "other_")
