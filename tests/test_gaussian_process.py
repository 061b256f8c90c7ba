"""The Gaussian process against scikit-learn's, its posterior in closed form, and its draws.

Notation: `n` observations, `q` queries, `G` groups of features.
"""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from nas_ray.evolution.gaussian_process import GaussianProcess, tuned_weights


def features(seed: int, count: int, columns: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, columns))


def wave(x: np.ndarray) -> np.ndarray:
    return np.sin(x[:, 0]) + 0.5 * x[:, 1]


def matern(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pair by pair: (1 + r√5 + 5 r²/3) exp(-r√5), Rasmussen and Williams, 2006, eq. 4.17."""
    r = np.array([[np.sqrt(5) * np.linalg.norm(a - b) for b in y] for a in x])
    return (1 + r + r**2 / 3) * np.exp(-r)


@pytest.mark.parametrize("weight", [0.05, 1.0, 2.5])
@pytest.mark.parametrize("noise", [1e-3, 0.1])
def test_the_mean_is_scikit_learn_s_of_one_group(weight, noise):
    known, asked = features(0, 20), features(1, 30)
    ours = GaussianProcess([known], wave(known), np.zeros(20), np.array([weight, noise]))
    # A weight w of squared distances is a length scale of w^-1/2.
    kernel = Matern(length_scale=weight**-0.5, nu=2.5)
    theirs = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(known, wave(known))
    np.testing.assert_allclose(ours.mean([asked]), theirs.predict(asked), atol=1e-6)


def test_groups_are_columns_each_stretched_by_its_weight():
    first, second = features(0, 15), features(1, 15, columns=2)
    queries = features(2, 8), features(3, 8, columns=2)
    weights = np.array([0.3, 2.0, 0.01])
    grouped = GaussianProcess([first, second], wave(first), np.zeros(15), weights)

    def stretched(a, b):
        return [np.hstack([a * 0.3**0.5, b * 2.0**0.5])]

    one = GaussianProcess(
        stretched(first, second), wave(first), np.zeros(15), np.array([1.0, 0.01])
    )
    np.testing.assert_allclose(grouped.mean(queries), one.mean(stretched(*queries)), atol=1e-8)


def test_the_amplitude_is_the_one_that_makes_the_targets_most_likely():
    """Scikit-learn's likelihood is highest there, among amplitudes around it."""
    known = features(0, 20)
    ours = GaussianProcess([known], wave(known), np.zeros(20), np.array([1.0, 0.1]))

    def likelihood(variance):
        kernel = variance * Matern(length_scale=1.0, nu=2.5)
        fitted = GaussianProcessRegressor(kernel, alpha=0.1 * variance, optimizer=None)
        return fitted.fit(known, wave(known)).log_marginal_likelihood_value_

    around = [likelihood(ours.variance * factor) for factor in (0.8, 0.95, 1.0, 1.05, 1.25)]
    assert int(np.argmax(around)) == 2


def test_what_is_known_without_noise_is_met():
    known = features(0, 25)
    process = GaussianProcess([known], wave(known), np.zeros(25), np.array([0.5, 1e-8]))
    np.testing.assert_allclose(process.mean([known]), wave(known), atol=1e-4)


def test_far_from_all_that_is_known_the_mean_is_the_prior_s():
    known = features(0, 10)
    process = GaussianProcess([known], wave(known) + 2.0, np.zeros(10), np.array([1.0, 0.01]))
    np.testing.assert_allclose(process.mean([features(1, 5) + 100.0]), 0.0, atol=1e-12)


def test_a_doubted_observation_is_met_the_less_the_more_it_is_doubted():
    known, targets = features(0, 12), np.zeros(12)
    targets[3] = 1.0
    reached = []
    for doubt in (0.0, 0.1, 0.5, 2.0):
        noise = np.zeros(12)
        noise[3] = doubt
        process = GaussianProcess([known], targets, noise, np.array([1.0, 1e-6]))
        reached.append(process.mean([known[3:4]])[0])
    assert reached[0] == pytest.approx(1.0, abs=1e-3)
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] < 0.5


def test_draws_have_the_mean_and_covariance_of_the_posterior():
    known, asked, doubt = features(0, 8), features(1, 4), np.linspace(0, 0.5, 8)
    process = GaussianProcess([known], wave(known), doubt, np.array([1.0, 0.05]))
    rng = np.random.default_rng(0)
    drawn = process.draws([asked], 20_000, rng)
    # Rasmussen and Williams, 2006, eq. 2.23 and 2.24, with the signal's variance in front.
    inverse = np.linalg.inv(matern(known, known) + np.diag(0.05 + doubt))
    variance = wave(known) @ inverse @ wave(known) / 8
    cross = matern(known, asked)
    covariance = variance * (matern(asked, asked) - cross.T @ inverse @ cross)
    # The standard error of a mean is 0.007 of a deviation, of a variance 0.01 of it.
    deviation = np.sqrt(np.diag(covariance))
    assert (np.abs(drawn.mean(0) - cross.T @ inverse @ wave(known)) < 0.03 * deviation).all()
    scale = np.outer(deviation, deviation)
    assert (np.abs(np.cov(drawn.T) - covariance) < 0.05 * scale).all()


def test_a_draw_is_repeated_by_its_generator_and_by_no_other():
    known, asked = features(0, 8), features(1, 4)
    process = GaussianProcess([known], wave(known), np.zeros(8), np.array([1.0, 0.05]))
    first, again, other = (
        process.draws([asked], 1, np.random.default_rng(s))[0] for s in (0, 0, 1)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("matters", [0, 1], ids=["first_group", "second_group"])
def test_tuned_weights_say_which_group_matters(matters):
    groups = [features(0, 60, columns=2), features(1, 60, columns=2)]
    targets = wave(groups[matters])
    targets = (targets - targets.mean()) / targets.std()
    for seed in range(3):
        weights = tuned_weights(groups, targets, np.zeros(60), np.random.default_rng(seed))
        assert weights[matters] > 3 * weights[1 - matters]


def test_tuned_noise_is_small_for_a_smooth_function_and_large_for_chance():
    known, rng = features(0, 60, columns=2), np.random.default_rng(5)
    smooth = tuned_weights([known], wave(known), np.zeros(60), np.random.default_rng(0))
    chance = tuned_weights([known], rng.normal(size=60), np.zeros(60), np.random.default_rng(0))
    assert smooth[-1] < 0.02
    assert chance[-1] > 5 * smooth[-1]


def test_few_weights_of_a_grid_are_more_likely_than_the_tuned_ones():
    """By the likelihood written out, with the amplitude profiled; one in twenty may be."""
    known = features(0, 40, columns=2)
    targets = wave(known) + np.random.default_rng(1).normal(0, 0.2, 40)
    tuned = tuned_weights([known], targets, np.zeros(40), np.random.default_rng(0))

    def likelihood(weight, noise):
        kernel = Matern(length_scale=weight**-0.5, nu=2.5)
        covariance = kernel(known) + noise * np.eye(40)
        variance = targets @ np.linalg.solve(covariance, targets) / 40
        _, determinant = np.linalg.slogdet(variance * covariance)
        return -0.5 * determinant

    grid = [
        likelihood(weight, noise)
        for weight in np.geomspace(0.01, 3.0, 20)
        for noise in np.geomspace(1e-3, 0.3, 20)
    ]
    assert likelihood(*tuned) > np.quantile(grid, 0.95)


def test_queries_without_columns_in_a_group_are_queries_all_the_same():
    """A space without costs has a group of no columns: it is as if it were not there."""
    known, asked, empty = features(0, 10), features(1, 5), np.empty((10, 0))
    with_empty = GaussianProcess(
        [known, empty], wave(known), np.zeros(10), np.array([1.0, 2.0, 0.01])
    )
    without = GaussianProcess([known], wave(known), np.zeros(10), np.array([1.0, 0.01]))
    np.testing.assert_allclose(with_empty.mean([asked, np.empty((5, 0))]), without.mean([asked]))
