"""Several Ray nodes on this machine: what is lost with one, and how little may be shared."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import small_clusters

from nas_ray.record import Record


@pytest.fixture
def on_cluster(tmp_path, small_device_folder):
    """Runs one of `small_clusters` in a process of its own, and gives what it printed."""
    shutil.copytree(small_device_folder, tmp_path / "device")

    def run(kind) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, small_clusters.__file__, kind.__name__, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_everything_shares_a_single_cpu_without_a_deadlock(on_cluster, tmp_path):
    found = on_cluster(small_clusters.one_cpu)
    assert Counter(found["trials_by_status"]).total() == 4
    assert set(found["trials_by_status"]) <= {"completed", "stopped"}
    record = Record.read(tmp_path / "run")
    assert record.trials()[0].test
    assert record.batches()[0].scored > 0


def test_a_node_is_removed_and_another_added_and_no_trial_is_lost(on_cluster, tmp_path):
    found = on_cluster(small_clusters.node_is_replaced)
    assert found["nodes"] == 3
    assert len(found["trials_by_status"]) == 4
    assert set(found["trials_by_status"]) <= {"completed", "stopped"}
    events = Record.read(tmp_path / "run").events()
    reports = [(e["trial"], e["epoch"]) for e in events if e["event"] == "result"]
    assert len(reports) == len(set(reports))
    assert any(trial.retries for trial in Record.read(tmp_path / "run").trials().values())


def test_four_trials_share_a_gpu_and_the_fifth_waits(on_cluster):
    found = on_cluster(small_clusters.quarter_gpus)
    assert (found["fitting"], found["trials"], found["at_once"]) == (4, 8, 4)
    assert found["gpus"] == [0]


def test_data_that_died_with_their_node_are_loaded_again(on_cluster):
    found = on_cluster(small_clusters.node_with_the_data_dies)
    assert found["removed"] >= 1
    assert found["set_up"] == ["fit", "fit"]
    assert (found["recovered"], found["lost"]) == ("Marked", "Marked")
