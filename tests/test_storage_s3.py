"""A search whose storage is an S3-compatible server: what is there, and going on from there."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import tiny_job
import torch
from pyarrow.fs import FileSelector, FileSystem

import nas_ray
from nas_ray.cli import main
from nas_ray.record import Record
from nas_ray.tune.trial import TRAINER_STATE, WEIGHTS

pytestmark = [
    pytest.mark.usefixtures("local_ray"),
    pytest.mark.skipif(find_spec("moto") is None, reason="moto, of the extra dev, is missing"),
]
NAME = "s3://bucket/runs/tiny"


@pytest.fixture(scope="module")
def query() -> Iterator[str]:
    """What names the server in a URI; it listens on the loopback address and has one bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(port)
            query = f"?scheme=http&endpoint_override=127.0.0.1:{port}"
            made, _ = FileSystem.from_uri(f"s3://bucket{query}&allow_bucket_creation=true")
            made.create_dir("bucket")
            yield query
        finally:
            server.terminate()


def wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def search(storage: str, device: nas_ray.Device, **changes) -> nas_ray.SearchResult:
    settings = {
        "device": device,
        "max_epochs": 2,
        "screen": nas_ray.Screen(pool=24, scored=8, kept=4),
        "resources": nas_ray.Resources(max_concurrent=1),
        **changes,
    }
    return nas_ray.search(
        tiny_job.space(), tiny_job.task, tiny_job.data, storage=storage, **settings
    )


def files(query: str) -> list[str]:
    filesystem, path = FileSystem.from_uri(NAME + query)
    found = filesystem.get_file_info(FileSelector(path, recursive=True))
    return [info.path.removeprefix(f"{path}/") for info in found]


def test_a_search_goes_on_from_the_store_after_its_machine_is_lost(
    query, small_device, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "lost"))
    search(NAME + query, small_device, trials=3)
    before = Record.read(NAME + query).trials()
    assert len(before) == 3
    assert before[0].test["test_accuracy"] > 0.3

    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "new"))
    result = search(NAME + query, small_device, trials=4)
    after = Record.read(NAME + query).trials()
    assert len(after) == 4
    assert {n: after[n] for n in before} == before

    # What a trained network is, is at the store alone.
    row = result.best("accuracy")
    assert row["checkpoint"].startswith(f"{NAME}/checkpoints/")
    assert "?" not in row["checkpoint"]
    assert not (result.record.folder / "checkpoints").exists()
    trial = after[row["trial"]]
    with result.record.checkpoint(trial).file(WEIGHTS) as path:
        weights = torch.load(path, weights_only=True)
    tiny_job.space().build(trial.config).load_state_dict(weights)

    assert {"record.json", "report.html", "study.log", "journal/000000.jsonl"} <= {*files(query)}
    assert "lease.json" not in files(query)
    assert main(["status", NAME + query]) == 0
    assert main(["report", NAME + query, "--to", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert NAME in page
    assert "endpoint_override" not in page + capsys.readouterr().out


def test_no_credentials_are_at_the_store_or_on_this_machine(
    query, tmp_path, small_device, monkeypatch
):
    """Not in what Ray writes either, which pickles the filesystem."""
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "cache"))
    search(f"s3://bucket/runs/secret{query}", small_device, trials=1, max_epochs=1)
    filesystem, path = FileSystem.from_uri(f"s3://bucket/runs/secret{query}")
    there = filesystem.get_file_info(FileSelector(path, recursive=True))
    contents = [filesystem.open_input_stream(f.path).read() for f in there if f.is_file]
    contents += [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(contents) > 10
    secret = os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    assert not [content[:80] for content in contents if secret in content]


def test_a_trial_goes_on_from_its_checkpoint_at_the_store(
    query, small_device, tmp_path, monkeypatch
):
    """As if the driver had been lost after the first epoch of the only trial."""
    storage = f"s3://bucket/runs/cut{query}"
    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "lost"))
    search(storage, small_device, trials=1)
    filesystem, path = FileSystem.from_uri(storage)
    name = f"{path.rstrip('/')}/journal/000000.jsonl"
    lines = filesystem.open_input_stream(name).read().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if b'"result"' in line)
    with filesystem.open_output_stream(name) as journal:
        journal.write(b"".join(lines[: first + 1]))

    monkeypatch.setenv("NAS_RAY_CACHE", str(tmp_path / "new"))
    cut = Record.read(storage).trials()[0]
    assert (cut.status, cut.epoch) == ("running", 1)
    with Record.read(storage).checkpoint(cut).file(TRAINER_STATE) as path:
        assert torch.load(path, weights_only=True)["epoch"] == 0
    record = search(storage, small_device, trials=1).record
    assert (record.trials()[0].status, record.trials()[0].epoch) == ("completed", 2)
    results = [e for e in record.events() if e["event"] == "result"]
    assert [e["epoch"] for e in results] == [1, 2]
    # The first that its worker wrote: epoch 1 was not trained again.
    assert results[1]["checkpoint"].endswith("checkpoint_000000")
