"""What happens to a search when something happens to its trials."""

import json
import time
from pathlib import Path

import pytest
import tiny_job

import nas_ray
from nas_ray.record import Record, Trial
from nas_ray.report import status_of

pytestmark = pytest.mark.usefixtures("local_ray")


def run(folder: Path, device, space, task=tiny_job.task, **resources) -> list[Trial]:
    """Search a space of two networks, the sound one first; the trials in their order."""
    nas_ray.search(
        space,
        task,
        tiny_job.data,
        device=device,
        trials=2,
        max_epochs=3,
        early_stopping=False,
        storage=folder,
        screen=nas_ray.Screen(pool=24, scored=8, kept=4),
        resources=nas_ray.Resources(max_concurrent=1, **resources),
    )
    return list(Record.read(folder).trials().values())


def epochs_of(folder: Path, number: int) -> list[int]:
    events = map(json.loads, (folder / "journal.jsonl").read_text().splitlines())
    return [e["epoch"] for e in events if e["event"] == "result" and e["trial"] == number]


def test_a_killed_worker_is_retried_from_its_last_checkpoint(tmp_path, small_device):
    space = tiny_job.faulty_space("killed", tmp_path / "mark")
    _, killed = run(tmp_path / "run", small_device, space, retries=1)
    assert (killed.status, killed.epoch, len(killed.retries)) == ("completed", 3, 1)
    assert epochs_of(tmp_path / "run", 1) == [1, 2, 3]
    assert "died" in killed.retries[0]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "trial 1, attempt 1, was retried" in page
    assert status_of(Record.read(tmp_path / "run")).retries == 1


def test_a_worker_that_always_dies_has_failed_once_its_retries_are_used_up(tmp_path, small_device):
    sound, killed = run(tmp_path, small_device, tiny_job.faulty_space("killed"), retries=1)
    assert (sound.status, killed.status) == ("completed", "failed")
    # The second attempt went on from the first one's epoch, and further.
    assert (killed.epoch, len(killed.retries)) == (2, 1)
    assert "died" in killed.error
    assert status_of(Record.read(tmp_path)).funnel.failed == 1


def test_a_trial_that_hangs_is_ended_and_may_go_on(tmp_path, small_device):
    space = tiny_job.faulty_space("hangs", tmp_path / "mark")
    begun = time.monotonic()
    _, hung = run(tmp_path / "run", small_device, space, retries=1, silent_s=20.0)
    assert time.monotonic() - begun < 300
    assert (hung.status, hung.epoch) == ("completed", 3)
    assert hung.retries == ("it reported nothing for 20 s and was ended",)


def test_what_a_network_raises_is_its_own_fault_and_is_not_tried_again(tmp_path, small_device):
    sound, failed = run(tmp_path, small_device, tiny_job.faulty_space("out_of_memory"))
    assert (sound.status, failed.status, failed.retries) == ("completed", "failed", ())
    assert "MemoryError: no 12 GiB left" in failed.error


def test_a_search_that_is_out_of_time_keeps_what_it_has_and_goes_on_later(tmp_path, small_device):
    def search(**budget) -> nas_ray.SearchResult:
        return nas_ray.search(
            tiny_job.space(),
            tiny_job.slow_task,
            tiny_job.data,
            device=small_device,
            max_epochs=3,
            storage=tmp_path,
            screen=nas_ray.Screen(pool=24, scored=8, kept=4),
            resources=nas_ray.Resources(max_concurrent=1),
            **budget,
        )

    with pytest.warns(UserWarning, match=r"the search ended after \d+ of 500 trials: its 25 s"):
        search(trials=500, time_s=25.0)
    before = Record.read(tmp_path).trials()
    ended = sum(trial.status != "running" for trial in before.values())
    assert 1 <= ended < 500
    assert before[0].test
    search(trials=len(before) + 1)
    after = Record.read(tmp_path).trials()
    assert len(after) == len(before) + 1
    assert {trial.status for trial in after.values()} <= {"completed", "stopped"}


def test_a_search_ends_once_its_front_stalls(tmp_path, small_device):
    with pytest.warns(UserWarning, match=r"the last \d+ did not change the front"):
        nas_ray.search(
            tiny_job.space(),
            tiny_job.task,
            tiny_job.data,
            device=small_device,
            trials=60,
            stall=2,
            max_epochs=1,
            storage=tmp_path,
            screen=nas_ray.Screen(pool=24, scored=8, kept=4),
            resources=nas_ray.Resources(max_concurrent=1),
        )
    assert 3 <= len(Record.read(tmp_path).trials()) < 60
