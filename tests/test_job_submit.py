"""`ray job submit -- nas-ray search ...` on a cluster, with a module of a person's own."""

import os
import re
import shutil
import signal
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray_cluster import PATIENCE_S, ROOT, Cluster, ray_cluster
from test_local import listening_addresses, ray_processes

from nas_ray.device import device_folder
from nas_ray.record import Record

pytest.importorskip("aiohttp_cors", reason="needs the extra cluster: ray[default]")

TESTS = Path(__file__).parent
#: What moves a cursor or sets a colour. Ray's own first line has a tabulator.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster(cpus=2) as started:
        yield started


@pytest.fixture
def project(tmp_path) -> Path:
    """A person's folder: a module with space, task and data, and a device with its fit."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("tiny_job.py", "tiny_slow.py"):
        shutil.copy(TESTS / name, folder)
    shutil.copytree(device_folder("ethos-u85-2048"), folder / "device")
    return folder


def submit(cluster: Cluster, project: Path, storage: Path, *words: str, wait: bool = False) -> str:
    """Submit a search of `project` as a person would; what `ray job submit` prints."""
    return cluster.ray(
        *("job", "submit", "--address", cluster.address, "--working-dir", "."),
        *("--runtime-env", str(ROOT / "examples" / "runtime_env.yaml")),
        *([] if wait else ["--no-wait"]),
        *("--", "python", "-m", "nas_ray.cli", "search", "tiny_slow", "--device", "device"),
        *("--storage", str(storage), "--epochs", "3", "--constraint", "latency_ms<=0.2", *words),
        cwd=project,
    )


def job_of(printed: str) -> str:
    return re.search(r"Job '(raysubmit_\w+)' submitted", printed)[1]


def job(cluster: Cluster, name: str) -> dict:
    return cluster.ask(f"/api/jobs/{name}")


def logs(cluster: Cluster, name: str) -> str:
    return cluster.ask(f"/api/jobs/{name}/logs")["logs"]


def wait_until(happened: Callable[[], bool], cluster: Cluster, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, logs(cluster, name)
        time.sleep(0.1)


def reports(storage: Path) -> list[tuple[int, int]]:
    """Trial and epoch of every result in the journal, in order."""
    if not (storage / "record.json").exists():
        return []
    found = (e for e in Record.read(storage).events() if e["event"] == "result")
    return [(e["trial"], e["epoch"]) for e in found]


def require_readable(log: str) -> None:
    """Progress in lines, and where there is a table, one line a row and 100 columns at most."""
    assert CONTROL.findall(log) == []
    assert "Traceback" not in log
    assert re.search(r"^\d+ done, .* of 5 \| feasible: .* \| left: ", log, re.MULTILINE)
    _, _, shown = log.partition("Pareto front")
    table, _, _ = shown.partition("checkpoints:")
    assert all(len(line) <= 100 for line in table.splitlines())
    assert re.search(r"^ *%\)", table, re.MULTILINE) is None


def test_a_cluster_serves_nobody_without_its_token(cluster):
    with pytest.raises(urllib.error.HTTPError, match=r"40[13]"):
        cluster.ask("/api/jobs/", token="0" * 64)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's /proc")
def test_it_listens_to_this_machine_alone(cluster):
    folder = str(Path(cluster.environment["RAY_AUTH_TOKEN_PATH"]).parent)
    addresses = listening_addresses({pid for pid in ray_processes() if folder in words_of(pid)})
    assert addresses == {"127.0.0.1"}


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def test_a_job_that_was_stopped_and_one_that_was_killed_lose_nothing(cluster, project, tmp_path):
    storage = tmp_path / "storage"

    stopped = job_of(submit(cluster, project, storage, "--trials", "5"))
    wait_until(lambda: len(reports(storage)) >= 2, cluster, stopped)
    cluster.ray("job", "stop", "--address", cluster.address, stopped)
    assert job(cluster, stopped)["status"] == "STOPPED"
    first = reports(storage)
    assert "stopped by hand" in logs(cluster, stopped)
    assert (storage / "report.html").exists()

    killed = job_of(submit(cluster, project, storage, "--trials", "5"))
    wait_until(lambda: len(reports(storage)) >= len(first) + 2, cluster, killed)
    os.kill(int(job(cluster, killed)["driver_info"]["pid"]), signal.SIGKILL)
    wait_until(lambda: job(cluster, killed)["status"] == "FAILED", cluster, killed)
    second = reports(storage)

    printed = submit(cluster, project, storage, "--trials", "5", wait=True)
    finished = job_of(printed)
    assert job(cluster, finished)["status"] == "SUCCEEDED"
    third = reports(storage)
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    assert len(set(third)) == len(third)
    trials = Record.read(storage).trials()
    assert len(trials) == 5
    assert {trial.status for trial in trials.values()} <= {"completed", "stopped"}
    assert all(Record.read(storage).checkpoint_path(trial).is_dir() for trial in trials.values())

    for name in (stopped, killed, finished):
        require_readable(logs(cluster, name))
    assert "Pareto front of tiny on ethos-u85-2048" in printed
    assert f"checkpoints: {storage}/checkpoints" in logs(cluster, finished)


def test_a_job_refuses_a_storage_folder_that_is_deleted_with_it(cluster, project):
    name = job_of(submit(cluster, project, Path("runs/mine")))
    wait_until(lambda: job(cluster, name)["status"] == "FAILED", cluster, name)
    assert "the storage of a job must outlive it" in logs(cluster, name)
