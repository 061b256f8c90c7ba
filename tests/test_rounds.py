"""Rounds of a profile: what is chosen depends on the seed and the table, and is worth choosing.

Nothing is in a process of its own here: the back-end is a formula.
"""

import contextlib
import types

import numpy as np
import pytest
from plain_device import PLAIN

from nas_ray.estimate.hardware import read_hardware
from nas_ray.graph import parse_signature, signature
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.networks import random_network
from nas_ray.measure.sampling import sample_subgraphs
from nas_ray.measure.table import Row, read_table, table_path
from nas_ray.profiling import Budget, loop, profile
from nas_ray.profiling.adaptive import around_the_worst
from nas_ray.profiling.regression import held_out_errors
from nas_ray.profiling.report import check_networks, random_networks
from nas_ray.profiling.starting import Networks, starting_samples

MULTIPLE = 8
SEED = 4


def samples(count):
    stream = starting_samples(SEED, MULTIPLE)
    return [next(stream) for _ in range(count)]


def difficult_ms(graph):
    """A device bound by memory, but for gated blocks: those jump with their hidden channels."""
    tensors = [i for o in graph.operators for i in (*o.inputs, *o.outputs)]
    latency_ms = 2 + sum(graph.tensors[i].elements for i in tensors) / 1e4
    if is_difficult(graph):
        hidden = max(graph.shape(o.outputs[0])[1] for o in graph.operators)
        latency_ms *= 1 + 3 * (hidden % 64) / 64
    return latency_ms


def is_difficult(graph):
    return any(operator.kind == "mul" for operator in graph.operators)


def formula(texts):
    for text in texts:
        graph = parse_signature(text)
        yield (
            text,
            Measurement(
                latency_ms=difficult_ms(graph),
                peak_memory_bytes=1,
                weight_bytes=1,
                macs=graph.macs,
            ),
        )


def formula_profile(folder, count, **options):
    if not (folder / "device.toml").exists():
        (folder / "device.toml").write_text(PLAIN, encoding="utf-8")
    return profile(folder, Budget(count=count), SEED, measure_many=formula, **options)


@pytest.fixture
def short_rounds(monkeypatch):
    monkeypatch.setattr(loop, "_FIRST", 60)
    monkeypatch.setattr(loop, "_LEAST", 20)


def test_rounds_interrupted_anywhere_end_with_the_same_rows(tmp_path, short_rounds):
    """The adaptive rounds too: what is chosen depends on the table, not on when it was stopped."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    report = formula_profile(whole, 100)
    for stop in (10, 70, 91):

        def interrupt(progress, stop=stop):
            if progress.done == stop:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            formula_profile(parts, 100, on_progress=interrupt)
    assert read_table(formula_profile(parts, 100).table) == read_table(report.table)


def test_a_profile_extended_begins_with_the_shorter_one(tmp_path, short_rounds):
    """A round cut short by the count is finished by the next call, not drawn anew."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    for count in (30, 72, 110):
        formula_profile(parts, count)
    assert read_table(table_path(parts)) == read_table(formula_profile(whole, 110).table)


def test_time_ends_a_profile_between_two_samples(tmp_path, monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: now_s[0]))

    def a_second_passes(progress):
        now_s[0] += 1

    (tmp_path / "device.toml").write_text(PLAIN, encoding="utf-8")
    budget = Budget(count=500, time_s=6.5)
    report = profile(tmp_path, budget, SEED, measure_many=formula, on_progress=a_second_passes)
    assert (report.rows, report.stopped) == (7, "time")
    assert formula_profile(tmp_path, 10).rows == 10


def test_a_target_ends_it_as_soon_as_it_is_reached(tmp_path, short_rounds):
    (tmp_path / "device.toml").write_text(PLAIN, encoding="utf-8")
    budget = Budget(count=500, target_mape=10.0)
    report = profile(tmp_path, budget, SEED, measure_many=formula)
    assert (report.rows, report.stopped) == (60, "target")


def of_family_32(rng):
    return random_network(rng, 32)


def test_one_in_eight_of_the_first_samples_is_a_random_network():
    """Whole, as the generator of networks draws them; the others are subgraphs alone."""
    keys = samples(80)
    rng = np.random.default_rng([SEED, 4])
    assert keys[::8] == [signature(random_network(rng, MULTIPLE)) for _ in range(10)]
    broad = [key for n, key in enumerate(keys) if n % 8]
    alone = sample_subgraphs(70, np.random.default_rng(SEED), MULTIPLE)
    assert broad == [signature(graph) for graph in alone]


def test_one_in_sixteen_of_the_first_samples_is_a_network_of_the_space():
    stream = starting_samples(0, 32, Networks(name="mine", draw=of_family_32))
    keys = [next(stream) for _ in range(80)]
    rng = np.random.default_rng([0, 1])
    assert keys[1::16] == [signature(of_family_32(rng)) for _ in range(5)]
    assert len(set(keys)) == 80


def test_a_space_of_one_network_is_sampled_once():
    """Then its places go to subgraphs: drawing the same again must not go on for ever."""
    only = random_network(np.random.default_rng(7), 8)
    stream = starting_samples(0, 8, Networks(name="one", draw=lambda rng: only))
    keys = [next(stream) for _ in range(40)]
    assert keys.count(signature(only)) == 1
    assert len(set(keys)) == 40


def test_more_is_measured_where_estimates_are_bad():
    """Neighbours of the only bad one, none of a good one: its image and its kinds."""
    keys = samples(40)
    bad = next(key for key in keys if "depthwise_conv" in key)
    errors = dict.fromkeys(keys, 0.05) | {bad: 0.5}
    near = around_the_worst(errors, 20, np.random.default_rng(0), MULTIPLE, set(keys))
    kinds = [[o.kind for o in parse_signature(key).operators] for key in near]
    assert len(near) == len(set(near)) == 20
    assert kinds == [[o.kind for o in parse_signature(bad).operators]] * 20
    assert around_the_worst(dict.fromkeys(keys, 0.05), 5, np.random.default_rng(0), 8, set()) == []


def test_held_out_errors_do_not_depend_on_the_order_of_the_rows(tmp_path):
    rows = [
        Row(signature=key, latency_ms=m.latency_ms, peak_memory_bytes=1, weight_bytes=1, macs=1)
        for key, m in formula(samples(60))
    ]
    (tmp_path / "device.toml").write_text(PLAIN, encoding="utf-8")
    hardware = read_hardware(tmp_path / "device.toml")
    assert held_out_errors(rows, hardware) == held_out_errors(rows[::-1], hardware)
    assert held_out_errors(rows[:5], hardware) == {}


def test_whole_networks_are_compared_with_what_the_back_end_says_of_them(small_device):
    """A back-end that says 1.25 times the estimate: each is 20 % too low; one is lost."""
    graphs = random_networks(4, SEED, 16, None)
    told = {signature(g): 1.25 * small_device.estimate_graph(g).latency_ms for g in graphs}
    lost = signature(graphs[0])

    def measure_many(texts):
        for text in texts:
            found = Measurement(latency_ms=told[text], peak_memory_bytes=1, weight_bytes=1, macs=1)
            yield text, "lost" if text == lost else found

    checked = check_networks(small_device, graphs, measure_many)
    errors = (checked.mape, checked.median_error, checked.largest_error)
    assert errors == pytest.approx((0.2, 0.2, 0.2))
    assert (checked.networks, checked.lost, checked.within_10_percent) == (3, 1, 0.0)
