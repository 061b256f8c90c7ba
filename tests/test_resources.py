"""How many trials fit on the nodes there are; what fits on none of them."""

import pytest
import ray

from nas_ray.errors import SearchError
from nas_ray.tune.resources import Resources


@pytest.fixture
def cluster_of(monkeypatch):
    """Lets Ray tell of nodes with the given resources, the last of them gone."""

    def tell(*nodes: dict[str, float]) -> None:
        told = [{"Alive": True, "Resources": node} for node in nodes]
        told.append({"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}})
        monkeypatch.setattr(ray, "nodes", lambda: told)

    return tell


@pytest.mark.parametrize(
    ("nodes", "resources", "fitting"),
    [
        ([{"CPU": 4.0}], Resources(), 4),
        ([{"CPU": 3.0}, {"CPU": 3.0}], Resources(cpus_per_trial=2), 2),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}], Resources(gpus_per_trial=0.25), 4),
        ([{"CPU": 2.0, "GPU": 1.0}], Resources(gpus_per_trial=0.25), 2),
        ([{"CPU": 8.0, "GPU": 1.0}], Resources(gpus_per_trial=0.1), 8),
        ([{"CPU": 99.0, "GPU": 1.0}], Resources(gpus_per_trial=1 / 93), 93),
        ([{}, {"CPU": 1.0}], Resources(), 1),
    ],
    ids=[
        "cores",
        "a trial is not split between nodes",
        "quarters of a GPU",
        "fewer cores than quarters",
        "fewer cores than tenths",
        "parts of a GPU that do not quite add up",
        "a head without cores",
    ],
)
def test_as_many_trials_run_at_once_as_the_nodes_hold(cluster_of, nodes, resources, fitting):
    cluster_of(*nodes)
    assert resources.concurrent(can_grow=False) == fitting
    growing = resources.concurrent(can_grow=True)
    assert callable(growing)
    assert growing() == fitting + 1


def test_what_this_machine_does_not_have_is_refused(cluster_of):
    cluster_of({"CPU": 2.0})
    with pytest.raises(SearchError, match=r"1 CPU and 0.5 GPU, but this machine has 2 CPU and 0 G"):
        Resources(gpus_per_trial=0.5).check(can_grow=False)


def test_a_cluster_without_a_node_that_is_large_enough_is_waited_for(cluster_of):
    cluster_of({"CPU": 4.0}, {"CPU": 4.0})
    with pytest.warns(UserWarning, match="promised 8 CPU, and no node of the cluster has that"):
        Resources(cpus_per_trial=8).check(can_grow=True)
    Resources(cpus_per_trial=4).check(can_grow=True)
