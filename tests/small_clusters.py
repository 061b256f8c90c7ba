"""Searches on clusters of several Ray nodes on this machine, each in a process of its own.

    python tests/small_clusters.py one_cpu FOLDER

prints what happened as JSON on its last line. The device is the one in FOLDER/device.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import ray
import tiny_job
from ray import tune
from ray.cluster_utils import Cluster
from ray.experimental import get_object_locations

import nas_ray
from nas_ray.evolution import Archive
from nas_ray.record import Record
from nas_ray.tune.resources import Resources
from nas_ray.tune.shared_data import SharedData, shared

SCREEN = nas_ray.Screen(pool=24, scored=8, kept=4)


@contextmanager
def cluster(*nodes: dict[str, Any]) -> Iterator[tuple[Cluster, Sequence[Any]]]:
    """A head without CPUs, where the driver lives, and `nodes`."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        added = [made.add_node(**node) for node in nodes]
        ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
        yield made, added
    finally:
        ray.shutdown()
        made.shutdown()


def search(folder: Path, task: Any = tiny_job.task, **settings: Any) -> None:
    nas_ray.search(
        tiny_job.space(),
        task,
        tiny_job.data,
        device=folder / "device",
        storage=folder / "run",
        screen=SCREEN,
        **{"trials": 4, "max_epochs": 2, **settings},
    )


def one_cpu(folder: Path) -> dict[str, Any]:
    """Costing, scoring, training and testing share the only CPU."""
    with cluster({"num_cpus": 1}):
        search(folder)
    return {}


def node_is_replaced(folder: Path) -> dict[str, Any]:
    """One of two nodes is removed while its trial trains, and a new one comes."""
    with cluster({"num_cpus": 1}, {"num_cpus": 1}) as (made, nodes):
        with ThreadPoolExecutor() as threads:
            settings = {"trials": 4, "max_epochs": 27, "early_stopping": False}
            searching = threads.submit(search, folder, tiny_job.slow_task, **settings)
            while not searching.done() and not _both_train(folder / "run"):
                time.sleep(0.2)
            # From the main thread: Ray adds nodes from no other.
            made.remove_node(nodes[0], allow_graceful=False)
            made.add_node(num_cpus=1)
            searching.result()
        return {"nodes": sum(node["Alive"] for node in ray.nodes())}


def _both_train(run: Path) -> bool:
    if not (run / "record.json").exists():
        return False
    trials = Record.read(run).trials().values()
    return sum(trial.status == "running" and trial.epoch > 0 for trial in trials) >= 2


def quarter_gpus(folder: Path) -> dict[str, Any]:
    """Trials that are promised a quarter of a GPU, on a node that says it has one."""
    resources = Resources(gpus_per_trial=0.25)
    with cluster({"num_cpus": 8, "num_gpus": 1}):
        fitting = resources.concurrent(can_grow=False)
        archive = Archive(
            nas_ray.EvolutionarySearch(
                tiny_job.space(), objectives=[nas_ray.Objective("score", "max")], surrogate=False
            ),
            max_epochs=1,
        )
        searcher = nas_ray.CascadeSearch(
            archive, trials=8, max_concurrent=8, screen=nas_ray.Screen(scored=0)
        )
        results = tune.Tuner(
            resources.given_to(_says_when),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=nas_ray.CascadeScheduler(archive=archive),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
        ).fit()
    spans = [(r.metrics["begun"], r.metrics["ended"]) for r in results]
    return {
        "fitting": fitting,
        "trials": len(spans),
        "at_once": max(sum(b <= begun < e for b, e in spans) for begun, _ in spans),
        "gpus": sorted({r.metrics["gpu"] for r in results}),
    }


def _says_when(config: dict[str, Any]) -> None:
    begun = time.time()
    time.sleep(6.0)
    (gpu,) = ray.get_gpu_ids()
    tune.report({"score": 0.0, "epoch": 1, "begun": begun, "ended": time.time(), "gpu": int(gpu)})


class Marked(pl.LightningDataModule):
    """Leaves a line in a file whenever it is set up."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.pixels = np.zeros(1_000_000)

    def setup(self, stage: str) -> None:
        with self.file.open("a") as lines:
            lines.write(f"{stage}\n")


def node_with_the_data_dies(folder: Path) -> dict[str, Any]:
    """What the object store of a node kept is loaded again elsewhere, or where it is needed."""
    mark = folder / "mark"
    with cluster(*3 * [{"num_cpus": 1}]) as (made, nodes):
        data = _loaded_beside_the_head(mark)
        owner = _Owner.remote()
        (theirs,) = ray.get(owner.put.remote())
        gone = {_home_of(data.loaded), _home_of(theirs)}
        for node in nodes:
            if node.node_id in gone:
                made.remove_node(node, allow_graceful=False)
        recovered = ray.get(_type_of_data.remote(data))
        set_up = mark.read_text().split()
        lost = SharedData(source=data.source, loaded=theirs)
        return {
            "removed": len(gone),
            "recovered": recovered,
            "set_up": set_up,
            "lost": ray.get(_type_of_data.remote(lost)),
        }


def _loaded_beside_the_head(mark: Path) -> SharedData:
    """Data that were loaded once, on a node that may go."""
    for _ in range(10):
        mark.unlink(missing_ok=True)
        data = shared(Marked(mark), seed=0)
        ray.wait([data.loaded], fetch_local=False)
        if _home_of(data.loaded) != ray.get_runtime_context().get_node_id():
            return data
    raise RuntimeError("ten times the data were loaded on the head.")


def _home_of(reference: ray.ObjectRef) -> str:
    (node,) = get_object_locations([reference])[reference]["node_ids"]
    return str(node)


@ray.remote(num_cpus=1)
class _Owner:
    """Keeps something that Ray cannot make again, on a node that is not the head."""

    def put(self) -> list[ray.ObjectRef]:
        return [ray.put(np.zeros(1_000_000))]


@ray.remote(num_cpus=1)
def _type_of_data(data: SharedData) -> str:
    return type(data()).__name__


KINDS: dict[str, Callable[[Path], dict[str, Any]]] = {
    one.__name__: one for one in (one_cpu, node_is_replaced, quarter_gpus, node_with_the_data_dies)
}

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    found = KINDS[sys.argv[1]](folder)
    trials = Record.read(folder / "run").trials() if (folder / "run").exists() else {}
    found["trials_by_status"] = sorted(trial.status for trial in trials.values())
    print(json.dumps(found))
