"""The archive: what a search does is what its replayed record says it did."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from nas_ray import Categorical, Constraint, EvolutionarySearch, Objective, Ordinal, SearchSpace
from nas_ray.errors import RecordError, SearchError
from nas_ray.evolution import Archive, Candidate
from nas_ray.evolution.archive import BASELINE, Started
from nas_ray.evolution.screen import violation
from nas_ray.record import Batch, Record

HEADER = {"seed": 0}
EPOCHS = 9


def small() -> SearchSpace:
    """Forty networks."""
    return SearchSpace(
        name="small",
        choices={
            "depth": Ordinal(*range(1, 11)),
            "block": Categorical("ibn", "fused_ibn"),
            "kernel": Ordinal(3, 5),
        },
    )


def new_search(**settings) -> EvolutionarySearch:
    objectives = [Objective("accuracy", "max"), Objective("latency_ms", "min")]
    return EvolutionarySearch(small(), objectives=objectives, **settings)


def make(folder: Path | None = None, **settings) -> Archive:
    """An archive in memory, or over the record in `folder`."""
    record = None if folder is None else Record.open(folder, HEADER)
    return Archive(new_search(**settings), max_epochs=EPOCHS, record=record)


def candidate(config) -> Candidate:
    return Candidate(
        config=dict(config),
        costs={"latency_ms": config["depth"] * (1.0 if config["block"] == "ibn" else 1.75)},
        scores={"synflow": float(config["kernel"]), "naswot": -math.inf},
    )


def a_batch(archive: Archive, count: int) -> None:
    """One pass of a pre-filter that lets everything feasible through."""
    draws, told = archive.search.draws, len(archive.search.observations)
    costed = [candidate(config) for config in archive.search.candidates(count)]
    infeasible = archive.search.remember(costed)
    survivors = [c for c in costed if violation(c, archive.search.constraints) == 0]
    batch = Batch(
        draws=draws,
        costed=len(costed),
        feasible=len(survivors),
        scored=len(survivors),
        told=told,
        infeasible=tuple(c.plain() for c in infeasible),
    )
    archive.add_batch(batch, survivors)


def curve(number: int, epoch: int) -> dict[str, float]:
    """Accuracies that only number and epoch decide."""
    return {"accuracy": float(np.random.default_rng([number, epoch]).random())}


def train(archive: Archive, number: int, until: int = EPOCHS) -> None:
    """One trial from where it is, as scheduler and searcher would tell it."""
    for epoch in range(archive.trials[number].epoch + 1, until + 1):
        if not archive.report(number, epoch, curve(number, epoch), f"checkpoints/{number}/{epoch}"):
            archive.finish(number, "stopped")
            return
    if until == EPOCHS:
        archive.finish(number, "completed")


def half_a_search(archive: Archive) -> None:
    """The baseline, completed, stopped and failed trials, three under way, and some that wait."""
    train(archive, archive.start_baseline(candidate(archive.search.space.baseline)).number)
    a_batch(archive, 6)
    for _ in range(4):
        train(archive, archive.start_next().number)
    archive.finish(archive.start_next().number, "failed", "out of memory")
    # One of the first pass still waits when the second comes.
    a_batch(archive, 10)
    for until in (0, 0, 1, 2, EPOCHS, EPOCHS):
        train(archive, archive.start_next().number, until)


def state(archive: Archive) -> dict:
    """All that decides how a search goes on."""
    search = archive.search.state_dict()
    pending = {archive.search.space.key(c["config"]): c for c in search["pending"]}
    return {
        "trials": archive.trials,
        "rungs": archive.rungs.records,
        "front": archive.search.front(),
        "batches": archive.batches,
        "ready": archive.ready,
        "counts": (archive.started, archive.finished),
        "search": {**search, "pending": pending},
    }


def rest_of_queue(archive: Archive) -> list[Started]:
    return list(iter(archive.start_next, None))


# Replay


def test_a_replayed_record_is_the_archive_that_wrote_it(tmp_path):
    live = make(tmp_path)
    half_a_search(live)
    statuses = [trial.status for trial in live.trials.values()]
    assert set(statuses) == {"completed", "stopped", "failed", "running"}
    assert statuses.count("running") >= 2
    replayed = make(tmp_path)
    assert state(replayed) == state(live)
    waiting = rest_of_queue(live)
    assert len(waiting) > 4
    assert rest_of_queue(replayed) == waiting


def test_which_networks_are_infeasible_and_how_nearly_survives(tmp_path):
    def over_the_record() -> Archive:
        return make(tmp_path, constraints=[Constraint("latency_ms", upper=4)])

    live = over_the_record()
    for _ in range(2):
        a_batch(live, 12)
    train(live, live.start_next().number)
    replayed, costed = over_the_record(), live.search.state_dict()["costed"]
    assert costed["infeasible"]
    assert costed["nearest"]
    assert replayed.search.state_dict() == live.search.state_dict()
    assert replayed.search.candidates(12) == live.search.candidates(12)


def test_every_event_may_be_there_twice(tmp_path):
    live = make(tmp_path)
    half_a_search(live)
    running = next(n for n, trial in live.trials.items() if trial.status == "running")
    live.retry(running, "the worker died")
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert {"plan", "retry", "batch"} <= {json.loads(line)["event"] for line in lines}
    path.write_text("".join(line * 2 for line in lines))
    assert state(make(tmp_path)) == state(live)


def test_a_plan_for_candidates_that_are_not_there_is_refused(tmp_path):
    a_batch(make(tmp_path), 3)
    Record.open(tmp_path, HEADER).append({"event": "plan", "chosen": 0, "next": [7], "dropped": []})
    with pytest.raises(RecordError, match=r"cannot be used: .* more candidates than the 3"):
        make(tmp_path)


def test_a_record_makes_no_difference_to_what_is_decided(tmp_path):
    recorded, in_memory = make(tmp_path), make()
    half_a_search(recorded)
    half_a_search(in_memory)
    assert state(recorded) == state(in_memory)


def test_replaying_writes_nothing(tmp_path):
    half_a_search(make(tmp_path))
    before = (tmp_path / "journal.jsonl").read_bytes()
    make(tmp_path)
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_killed_search_goes_on_as_if_it_had_never_stopped(tmp_path):
    """Every event is a place to be killed at: what comes after is the same from each of them."""
    whole = make(tmp_path / "whole")
    half_a_search(whole)
    lines = (tmp_path / "whole" / "journal.jsonl").read_text().splitlines(keepends=True)
    for place in range(0, len(lines), 7):
        folder = tmp_path / str(place)
        Record.open(folder, HEADER)
        (folder / "journal.jsonl").write_text("".join(lines[:place]) + '{"event": "en')
        resumed = make(folder)
        for event in Record.read(tmp_path / "whole").events():
            repeat(resumed, event)
        assert state(resumed) == state(whole)


def repeat(archive: Archive, event) -> None:
    """Tell an archive what happened, whether it knows or not."""
    if event["event"] == "batch" and event["draws"] not in [b.draws for b in archive.batches]:
        a_batch(archive, event["costed"])
    elif event["event"] == "start" and event["trial"] not in archive.trials:
        started = (
            archive.start_baseline(candidate(event["config"]))
            if event["origin"] == BASELINE
            else archive.start_next()
        )
        assert (started.number, started.config) == (event["trial"], event["config"])
    elif event["event"] == "result":
        archive.report(event["trial"], event["epoch"], event["metrics"], event["checkpoint"])
    elif event["event"] == "end":
        archive.finish(event["trial"], event["status"], event["error"])


def test_unfinished_trials_are_handed_out_first_with_their_last_checkpoint(tmp_path):
    live = make(tmp_path)
    a_batch(live, 4)
    for until in (2, 0, EPOCHS):
        train(live, live.start_next().number, until)
    assert live.resumable == 0
    resumed = make(tmp_path)
    assert resumed.resumable == 2
    first, second = resumed.resume_one(), resumed.resume_one()
    assert first == Started(number=0, config=live.trials[0].config, checkpoint="checkpoints/0/2")
    assert second == Started(number=1, config=live.trials[1].config, checkpoint="")
    assert (resumed.resume_one(), resumed.resumable) == (None, 0)
    # The one that still waited in the queue is a new trial.
    assert resumed.start_next().number == 3
    assert resumed.start_next() is None


def test_a_resumed_trial_that_repeats_an_epoch_changes_nothing(tmp_path):
    live = make(tmp_path)
    a_batch(live, 8)
    numbers = [live.start_next().number for _ in range(8)]
    answers = [live.report(number, 1, curve(number, 1), f"checkpoints/{number}/1")
               for number in numbers]  # fmt: skip
    assert set(answers) == {True, False}
    resumed = make(tmp_path)
    before = (tmp_path / "journal.jsonl").read_bytes()
    # What it repeats may differ in the last digits: the first word counts.
    again = [resumed.report(number, 1, {"accuracy": 0.99}, "elsewhere") for number in numbers]
    assert again == answers
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_trial_that_lost_just_before_a_crash_is_closed_and_not_trained_on(tmp_path):
    live = make(tmp_path)
    a_batch(live, 8)
    numbers = [live.start_next().number for _ in range(8)]
    goes_on = {n: live.report(n, 1, curve(n, 1), f"checkpoints/{n}/1") for n in numbers}
    # The crash: no trial that lost was ended.
    resumed = make(tmp_path)
    assert {n for n in numbers if resumed.is_open(n)} == {n for n, on in goes_on.items() if on}
    assert {resumed.trials[n].status for n, on in goes_on.items() if not on} == {"stopped"}
    handed_out = [resumed.resume_one().number for _ in range(resumed.resumable)]
    assert handed_out == [n for n, on in goes_on.items() if on]


# Handing out


def test_without_a_surrogate_candidates_are_handed_out_in_their_order_and_once():
    archive = make(surrogate=False)
    configs = list(small().configs())[:3]
    survivors = [candidate(configs[i]) for i in (2, 0, 2, 1)]
    archive.add_batch(Batch(draws=0, costed=4, feasible=4, scored=4), survivors)
    started = rest_of_queue(archive)
    assert started == [Started(number=n, config=configs[i]) for n, i in enumerate((2, 0, 1))]
    trial = archive.trials[0]
    assert (trial.origin, trial.status, trial.costs, trial.scores) == (
        "evolution",
        "running",
        survivors[0].costs,
        survivors[0].scores,
    )


def test_a_network_handed_out_is_not_drawn_again():
    archive = make()
    a_batch(archive, 40)
    rest_of_queue(archive)
    assert archive.started == 40
    assert archive.search.candidates(10) == []


def test_the_baseline_is_trained_although_it_breaks_a_constraint():
    archive = make(constraints=[Constraint("latency_ms", upper=0.5)])
    baseline = candidate(archive.search.space.baseline)
    started = archive.start_baseline(baseline)
    train(archive, started.number)
    assert (archive.trials[0].origin, archive.trials[0].status) == (BASELINE, "completed")
    assert archive.search.front() == []


@pytest.mark.parametrize("origin", [BASELINE, "evolution"])
def test_only_the_baseline_is_never_stopped(origin):
    archive = make()
    baseline, *others = [candidate(config) for config in small().configs()][:6]
    archive.add_batch(Batch(draws=0, costed=5, feasible=5, scored=5), others)
    for n, started in enumerate(rest_of_queue(archive)):
        archive.report(started.number, 1, {"accuracy": 0.9 - n / 100, "latency_ms": 0.1})
    if origin == BASELINE:
        number = archive.start_baseline(baseline).number
    else:
        archive.add_batch(Batch(draws=1, costed=1, feasible=1, scored=1), [baseline])
        number = archive.start_next().number
    worst = {"accuracy": 0.1, "latency_ms": 9.0}
    assert archive.report(number, 1, worst) == (origin == BASELINE)


# Results


@pytest.mark.parametrize("status", ["completed", "stopped", "failed"])
def test_closing_a_trial_again_changes_nothing(tmp_path, status):
    archive = make(tmp_path)
    a_batch(archive, 2)
    number = archive.start_next().number
    archive.report(number, 1, {"accuracy": 0.5})
    archive.finish(number, status, "the reason")
    before, journal = state(archive), (tmp_path / "journal.jsonl").read_bytes()
    assert not archive.is_open(number)
    for other in ("completed", "stopped", "failed"):
        archive.finish(number, other, "another")
    assert state(archive) == before
    assert archive.trials[number].error == "the reason"
    assert (tmp_path / "journal.jsonl").read_bytes() == journal


@pytest.mark.parametrize(
    ("status", "epochs", "on_front", "failed"),
    [
        ("completed", 2, True, False),
        ("stopped", 2, False, False),
        ("failed", 2, False, True),
        # Ended by itself and reported nothing: there is nothing to compare it by.
        ("completed", 0, False, True),
    ],
)
def test_what_the_search_learns_of_a_closed_trial(status, epochs, on_front, failed):
    archive = make()
    a_batch(archive, 1)
    started = archive.start_next()
    for epoch in range(1, epochs + 1):
        archive.report(started.number, epoch, {"accuracy": epoch / 10})
    archive.finish(started.number, status)
    (observation,) = archive.search.observations
    assert (observation.config, observation.failed) == (started.config, failed)
    assert archive.search.front() == ([observation] if on_front else [])
    if not failed:
        # The last report, with the costs known before.
        expected = {"accuracy": 0.2, **archive.trials[0].costs}
        assert observation.metrics == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"accuracy": math.nan}, "'accuracy' must be finite, but is nan"),
        ({"accuracy": math.inf}, "'accuracy' must be finite, but is inf"),
        ({"acuracy": 0.5}, "'accuracy' was not reported; did you mean 'acuracy'"),
    ],
    ids=["nan", "inf", "mistyped"],
)
def test_a_trial_without_a_finite_objective_is_closed_as_failed(value, reason):
    archive = make()
    a_batch(archive, 2)
    first, second = archive.start_next(), archive.start_next()
    archive.report(first.number, 1, {"accuracy": 0.5})
    assert not archive.report(second.number, 1, value)
    trial = archive.trials[second.number]
    assert (trial.status, trial.curve) == ("failed", {})
    assert reason in trial.error
    assert list(archive.rungs.records[1]) == [str(first.number)]
    assert archive.fault is None


def test_an_objective_that_no_trial_ever_reported_ends_the_run():
    archive = make()
    a_batch(archive, 2)
    number = archive.start_next().number
    with pytest.raises(SearchError, match="'accuracy' was not reported; did you mean 'acuracy'"):
        archive.report(number, 1, {"acuracy": 0.5})
    assert archive.interrupted
    assert isinstance(archive.fault, SearchError)
    assert archive.is_open(number)


def test_a_test_is_kept_beside_the_results_and_not_told_to_the_search(tmp_path):
    archive = make(tmp_path)
    a_batch(archive, 1)
    train(archive, archive.start_next().number)
    before = archive.search.state_dict()
    archive.add_test(0, {"test_accuracy": 0.25})
    assert archive.trials[0].test == {"test_accuracy": 0.25}
    assert archive.search.state_dict() == before
    assert make(tmp_path).trials == archive.trials


def test_a_trial_that_the_searcher_never_bound_is_refused_with_the_way_out():
    archive = make()
    archive.bind("ab12", 3)
    assert archive.number_of("ab12") == 3
    with pytest.raises(SearchError, match=r"trial 'cd34' was not suggested.*same archive"):
        archive.number_of("cd34")


# A record that cannot be written


@pytest.mark.parametrize(
    "act",
    [
        lambda archive: archive.report(0, 2, {"accuracy": 0.6}),
        lambda archive: archive.finish(0, "completed"),
        lambda archive: archive.start_next(),
        lambda archive: archive.start_baseline(candidate(small().baseline)),
        lambda archive: archive.add_test(0, {"test_accuracy": 0.25}),
        lambda archive: a_batch(archive, 1),
    ],
    ids=["result", "end", "start", "baseline", "test", "batch"],
)
def test_an_event_that_cannot_be_written_has_not_happened_and_ends_the_run(tmp_path, act):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    archive = make(tmp_path)
    a_batch(archive, 2)
    archive.report(archive.start_next().number, 1, {"accuracy": 0.5})
    before = (dict(archive.trials), list(archive.batches), archive.search.observations)
    assert (archive.interrupted, archive.fault) == (False, None)
    (tmp_path / "journal.jsonl").rename(tmp_path / "kept.jsonl")
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    with pytest.raises(RecordError, match=r"cannot be written: .*No space left") as raised:
        act(archive)
    assert archive.interrupted
    assert archive.fault is raised.value
    assert (archive.trials, archive.batches, archive.search.observations) == before
    # Once there is space again, the same folder goes on from there.
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "kept.jsonl").rename(tmp_path / "journal.jsonl")
    assert make(tmp_path).resume_one().number == 0


# Trained on after they were stopped


def stopped_at_the_first_rung(folder: Path, count: int = 6) -> Archive:
    archive = make_patient(folder)
    a_batch(archive, count)
    for _ in range(count):
        started = archive.start_next()
        number = started.number
        # Falling accuracies, so that none goes on at once.
        archive.report(number, 1, {"accuracy": 0.9 - number / 10}, f"checkpoints/{number}/1")
        archive.finish(number, "stopped")
    return archive


def make_patient(folder: Path) -> Archive:
    """One rung, after the first of three epochs."""
    return Archive(new_search(), max_epochs=3, patient=True, record=Record.open(folder, HEADER))


def test_a_stopped_trial_that_is_among_the_best_is_trained_on_from_its_checkpoint(tmp_path):
    archive = stopped_at_the_first_rung(tmp_path)
    assert archive.has_promotable
    started = archive.promote_one()
    trial = archive.trials[started.number]
    assert started.checkpoint == f"checkpoints/{started.number}/1"
    assert (trial.status, archive.started) == ("running", 6)
    for epoch in (2, 3):
        assert archive.report(started.number, epoch, {"accuracy": 0.95})
    archive.finish(started.number, "completed")
    assert [o.config for o in archive.search.front()] == [started.config]
    assert len(archive.search.observations) == 6


def test_without_patience_or_checkpoints_nothing_is_promoted(tmp_path):
    archive = make(tmp_path / "impatient")
    half_a_search(archive)
    assert (archive.has_promotable, archive.promote_one()) == (False, None)
    archive = make_patient(tmp_path / "no_checkpoint")
    a_batch(archive, 6)
    for _ in range(6):
        number = archive.start_next().number
        archive.report(number, 1, {"accuracy": 0.9 - number / 10})
        archive.finish(number, "stopped")
    assert archive.promote_one() is None


@pytest.mark.parametrize("epochs", [0, 1, 2], ids=lambda n: f"{n}_epochs_later")
def test_a_promotion_survives_a_crash(tmp_path, epochs):
    live = stopped_at_the_first_rung(tmp_path)
    number = live.promote_one().number
    for epoch in range(2, 2 + epochs):
        live.report(number, epoch, {"accuracy": 0.95}, f"checkpoints/{number}/{epoch}")
    resumed = make_patient(tmp_path)
    assert state(resumed) == state(live)
    assert resumed.rungs.promoted == live.rungs.promoted
    assert resumed.resume_one() == Started(
        number=number,
        config=live.trials[number].config,
        checkpoint=f"checkpoints/{number}/{epochs + 1}",
    )
    assert resumed.promote_one() == live.promote_one()


def test_who_trained_on_after_it_lost_is_resumed_not_closed(tmp_path):
    """In a run without a `CascadeScheduler` nobody is stopped, and the epochs go on."""
    live = make(tmp_path)
    a_batch(live, 4)
    numbers = [live.start_next().number for _ in range(4)]
    for epoch in (1, 2):
        for number in numbers:
            live.report(number, epoch, {"accuracy": 0.9 - number / 10}, f"c/{number}/{epoch}")
    resumed = make(tmp_path)
    assert [t.status for t in resumed.trials.values()] == ["running"] * 4
    assert [resumed.resume_one().number for _ in range(4)] == numbers


def test_a_secret_in_an_error_is_not_written_down(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE_TOKEN", "very-secret-token")
    archive = make(tmp_path)
    number = archive.start_baseline(candidate(archive.search.space.baseline)).number
    archive.retry(number, "refused very-secret-token")
    archive.finish(number, "failed", "refused very-secret-token again")
    assert "very-secret" not in (tmp_path / "journal.jsonl").read_text()
    trial = Record.read(tmp_path).trials()[number]
    assert (trial.retries, trial.error) == (
        ("refused <STORE_TOKEN>",),
        "refused <STORE_TOKEN> again",
    )
