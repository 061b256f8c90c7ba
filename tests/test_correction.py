"""The correction by measured networks: what it recovers, and that it never makes things worse."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from nas_ray.errors import DeviceError
from nas_ray.estimate.correction import fit_correction
from nas_ray.estimate.work import KINDS, make_up, work
from nas_ray.graph import parse_signature, signature

SIDES = (8, 16, 32)


def pointwise(side, channels):
    text = f"1x{channels}x{side}x{side}; conv 0 > 1x{channels}x{side}x{side} "
    return text + f"b={channels} w={channels**2} m={channels**2 * side**2}"


def depthwise(side, channels):
    text = f"1x{channels}x{side}x{side}; depthwise_conv 0 > 1x{channels}x{side}x{side} k=3x3 "
    return text + f"g={channels} b={channels} w={9 * channels} m={9 * channels * side**2}"


KEYS = [make(side, 16 * n) for side in SIDES for n in (1, 2, 3) for make in (pointwise, depthwise)]
PARTS = {key: parse_signature(key) for key in KEYS}
#: Estimates that follow no simple rule of the work.
BASE_MS = {key: 0.1 + 0.01 * (7 * n % 13) for n, key in enumerate(KEYS)}


def networks(count, seed=0):
    rng = np.random.default_rng(seed)
    drawn = (Counter(rng.choice(KEYS, 12).tolist()) for _ in range(count))
    return [dict(network) for network in drawn]


def summed(network, part_ms):
    return sum(part_ms[key] * n for key, n in network.items())


def corrected(correction):
    base_ms = np.array([BASE_MS[key] for key in KEYS])
    return dict(zip(KEYS, correction.apply(list(PARTS.values()), base_ms), strict=True))


def fitted(measured, part_ms, noise=0.0):
    factor = np.exp(noise * np.random.default_rng(1).normal(size=len(measured)))
    latency_ms = [summed(network, part_ms) * f for network, f in zip(measured, factor, strict=True)]
    return fit_correction(measured, PARTS, BASE_MS, latency_ms), np.array(latency_ms)


def mape(correction, part_ms, count=200):
    found = corrected(correction)
    unseen = networks(count, seed=99)
    return np.mean([abs(summed(n, found) / summed(n, part_ms) - 1) for n in unseen])


def error(held_out_ms, measured_ms):
    return np.mean((held_out_ms / measured_ms - 1) ** 2)


def one_factor(measured, measured_ms):
    """What one factor says of each network, fitted on the others: an independent formula."""
    base = np.array([summed(network, BASE_MS) for network in measured])
    ratio = np.log(measured_ms / base)
    return np.array([base[n] * math.exp(np.delete(ratio, n).mean()) for n in range(len(measured))])


SLOW_DEPTHWISE = {key: ms * (3 if "depthwise" in key else 1) for key, ms in BASE_MS.items()}


@pytest.mark.parametrize("factor", [0.02, 0.5, 3.0, 40.0])
def test_two_networks_tell_a_device_that_is_slower_by_one_factor(factor):
    slower = {key: factor * ms for key, ms in BASE_MS.items()}
    correction, _ = fitted(networks(2), slower)
    assert correction.level == "scaled"
    assert corrected(correction) == pytest.approx(slower)
    assert correction.upper_factor == pytest.approx(1)


def test_a_device_that_is_as_estimated_is_left_as_it_is():
    correction, _ = fitted(networks(5), BASE_MS)
    assert (correction.level, corrected(correction)) == ("plain", BASE_MS)


def test_a_device_whose_depthwise_convolutions_are_slower_is_learnt_the_better_the_more():
    errors = [mape(fitted(networks(n), SLOW_DEPTHWISE)[0], SLOW_DEPTHWISE) for n in (2, 10, 100)]
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < errors[0] / 3


@pytest.mark.parametrize("count", [2, 3, 5, 10, 30, 60])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_noise_never_makes_it_worse_than_one_factor_or_none_on_networks_left_out(count, noise):
    measured = networks(count)
    correction, measured_ms = fitted(measured, BASE_MS, noise)
    base_ms = np.array([summed(network, BASE_MS) for network in measured])
    found = error(correction.held_out_ms, measured_ms)
    assert found <= 1.0102 * error(one_factor(measured, measured_ms), measured_ms)
    assert found <= 1.0102 * error(base_ms, measured_ms)


@pytest.mark.parametrize("count", [2, 7, 50])
def test_the_order_of_rows_does_not_matter(count):
    measured = networks(count)
    correction, measured_ms = fitted(measured, SLOW_DEPTHWISE, 0.05)
    order = np.random.default_rng(2).permutation(count)
    other = fit_correction(
        [dict(reversed(measured[n].items())) for n in order], PARTS, BASE_MS, measured_ms[order]
    )
    assert (other.held_out_ms == correction.held_out_ms[order]).all()
    assert corrected(other) == corrected(correction)


def test_the_same_rows_give_the_same_correction():
    one, two = (fitted(networks(50), SLOW_DEPTHWISE, 0.05)[0] for _ in range(2))
    assert corrected(one) == corrected(two)
    assert one.upper_factor == two.upper_factor


def test_what_makes_a_network_up_in_another_way_is_found_with_many_networks():
    """A pointwise convolution on small images is slow: no rate of a kind says so."""
    strange = {key: ms * (4 if "1x16x8x8; conv" in key else 1) for key, ms in BASE_MS.items()}
    correction, _ = fitted(networks(120), strange)
    assert correction.level == "smooth"
    kinds = dataclasses.replace(correction, smooth=None)
    assert mape(correction, strange) < 0.5 * mape(kinds, strange)


def test_a_subgraph_is_corrected_alike_alone_and_among_others():
    correction, _ = fitted(networks(120), SLOW_DEPTHWISE, 0.1)
    alone = [correction.apply([PARTS[key]], np.array([BASE_MS[key]]))[0] for key in KEYS]
    assert alone == list(corrected(correction).values())


@pytest.mark.parametrize("count", [12, 200])
def test_the_upper_end_holds_for_new_networks(count):
    """Noise of 10 %: by hand, the 95 % quantile of a normal is 1.645 standard deviations."""
    correction, _ = fitted(networks(count), BASE_MS, 0.1)
    assert 1.1 < correction.upper_factor < 1.5
    assert count < 100 or correction.upper_factor == pytest.approx(math.exp(0.1645), rel=0.06)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_networks_are_refused(count):
    with pytest.raises(DeviceError, match=f"at least 2 measured networks, but there .* {count}"):
        fitted(networks(count), BASE_MS)


def test_work_counts_operators_macs_and_traffic_by_kind():
    """Hand arithmetic: 16 channels of 8x8 in and out are 1,024 elements each, 256 weights."""
    table = work(parse_signature(pointwise(8, 16))).reshape(len(KINDS), 3)
    assert table[KINDS.index("pointwise_conv")].tolist() == [1, 16384, 2 * 1024 + 256]
    assert table.sum() == 1 + 16384 + 2304


def test_work_of_a_subgraph_is_that_of_its_operators():
    both = parse_signature(
        pointwise(8, 16) + "; depthwise_conv 1 > 1x16x8x8 k=3x3 g=16 b=16 w=144 m=9216"
    )
    apart = work(parse_signature(pointwise(8, 16))) + work(parse_signature(depthwise(8, 16)))
    assert work(both).tolist() == apart.tolist()
    assert make_up(both).tolist() != make_up(parse_signature(pointwise(8, 16))).tolist()
    assert signature(both).count("depthwise") == 1
