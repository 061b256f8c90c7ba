"""The files in examples/ and the commands in docs/cluster.md hold what they promise.

Options are read by the command's own parser, pods as Ray's own autoscaler reads them, and what a
job takes along is packed by Ray itself.
"""

import logging
import re
import shlex
import zipfile
from pathlib import Path

import pytest
import yaml
from ray._private.runtime_env.packaging import create_package
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.runtime_env import RuntimeEnv

from nas_ray import list_devices
from nas_ray.cli.command import _parser
from nas_ray.cli.naming import TASKS, parse_constraint
from nas_ray.cli.options import seconds
from nas_ray.cli.searching import _stall
from nas_ray.tune import Resources
from nas_ray.tune.local import _KEEP_WORKERS

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
KUBERAY = EXAMPLES / "kuberay"
DOCS = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def manifest(name: str) -> dict:
    (found,) = yaml.safe_load_all((KUBERAY / name).read_text(encoding="utf-8"))
    return found


CLUSTER, JOB, RUNS = map(manifest, ("raycluster.yaml", "rayjob.yaml", "runs.yaml"))
SPEC = CLUSTER["spec"]
GROUPS = (SPEC["headGroupSpec"], *SPEC["workerGroupSpecs"])
CONTAINERS = [c for group in GROUPS for c in group["template"]["spec"]["containers"]]


def ray_version() -> str:
    (version,) = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return version


def commands_of_docs() -> list[list[str]]:
    """What docs/cluster.md tells people to type for `nas-ray`, submitted or not."""
    text = "\n".join(re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL)).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    typed = [line for line in lines if line and line[0] in ("ray", "nas-ray")]
    return [line[line.index("nas-ray") + 1 :] for line in typed if "nas-ray" in line]


def searched(words: list[str]):
    """The options of a search, each value read as the search reads it."""
    options = _parser().parse_args(words)["search"]
    for text in options.constraint or []:
        parse_constraint(text)
    for text in (options.time, options.silent):
        assert text is None or seconds(text) > 0
    assert options.until is None or _stall(options.until) > 0
    assert options.device in list_devices()
    return options


def entry_point():
    command, *words = shlex.split(JOB["spec"]["entrypoint"])
    assert command == "nas-ray"
    return searched(words)


# Ray and Kubernetes


def test_cluster_and_job_are_of_the_current_kind_and_have_what_is_required():
    for made, kind in ((CLUSTER, "RayCluster"), (JOB, "RayJob")):
        assert (made["apiVersion"], made["kind"]) == ("ray.io/v1", kind)
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", made["metadata"]["name"])
    for group in SPEC["workerGroupSpecs"]:
        assert {"groupName", "minReplicas", "maxReplicas", "template"} <= set(group)


def test_a_job_brings_the_cluster_that_stands_alone():
    assert JOB["spec"]["rayClusterSpec"] == SPEC


def test_every_pod_runs_the_ray_that_is_tested():
    assert SPEC["rayVersion"] == ray_version()
    assert {c["image"] for c in CONTAINERS} == {f"nas-ray:ray-{ray_version()}"}
    dockerfile = (KUBERAY / "Dockerfile").read_text()
    assert re.findall(r"^FROM rayproject/ray:([\d.]+)", dockerfile, re.MULTILINE) == [ray_version()]
    assert f"-t nas-ray:ray-{ray_version()} ." in dockerfile


def test_the_image_is_made_of_files_that_exist():
    dockerfile = (KUBERAY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY --chown=\S+ (.+) \S+$", dockerfile, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert {"nas_ray", "search_spaces", "trainables", "pyproject.toml"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_cluster_asks_for_a_token():
    assert SPEC["authOptions"] == {"mode": "token"}


def test_the_head_trains_nothing_and_workers_come_as_needed():
    nodes = autoscaled()
    assert nodes["headgroup"]["resources"]["CPU"] == 0
    assert "GPU" not in nodes["headgroup"]["resources"]
    workers = [node for name, node in nodes.items() if name != "headgroup"]
    assert [node["min_workers"] for node in workers] == [0, 0]
    assert all(node["max_workers"] > 0 for node in workers)
    assert ["GPU" in node["resources"] for node in workers] == [False, True]


def test_workers_that_screen_candidates_are_kept_between_passes():
    kept = {"name": f"RAY_{next(iter(_KEEP_WORKERS))}", "value": str(*_KEEP_WORKERS.values())}
    assert [container["env"] for container in CONTAINERS] == [[kept]] * 3
    assert f"export {kept['name']}={kept['value']}" in DOCS


def test_a_worker_holds_the_trials_that_the_entry_point_promises():
    options = entry_point()
    asked = Resources(cpus_per_trial=options.cpus_per_trial, gpus_per_trial=options.gpus_per_trial)
    fits = [
        min(node["resources"].get(name, 0) / amount for name, amount in asked._wanted.items())
        for node in autoscaled().values()
    ]
    # As many share a GPU as the entry point says, and its CPUs are enough for them.
    assert max(fits) == 1 / options.gpus_per_trial


def autoscaled() -> dict:
    """The kinds of nodes, as Ray's autoscaler reads them from the cluster."""
    placed = {**CLUSTER, "metadata": {**CLUSTER["metadata"], "namespace": "default"}}
    return _derive_autoscaling_config_from_ray_cr(placed)["available_node_types"]


# The entry point


def test_the_entry_point_is_a_search_that_the_command_knows():
    options = entry_point()
    assert options.task in TASKS
    assert options.constraint == ["latency_ms<=0.06"]


def test_every_pod_sees_the_storage_of_the_entry_point():
    storage = Path(entry_point().storage)
    for group in GROUPS:
        pod = group["template"]["spec"]
        claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]}
        (container,) = pod["containers"]
        mounted = {m["mountPath"]: claims[m["name"]] for m in container["volumeMounts"]}
        holding = [claim for path, claim in mounted.items() if storage.is_relative_to(path)]
        assert holding == [RUNS["metadata"]["name"]]
    assert RUNS["spec"]["accessModes"] == ["ReadWriteMany"]


# What a job takes along


def runtime_env() -> dict:
    return yaml.safe_load((EXAMPLES / "runtime_env.yaml").read_text(encoding="utf-8"))


def test_the_runtime_environment_is_one_that_ray_takes(tmp_path):
    found = runtime_env()
    assert RuntimeEnv(**found, working_dir="s3://bucket/project.zip")["env_vars"]
    assert set(found) == {"excludes", "env_vars"}


def test_a_job_takes_modules_along_and_neither_data_nor_what_searches_made(tmp_path):
    project, package = tmp_path / "project", tmp_path / "package.zip"
    modules = ("my_project/nas.py", "my_project/models.py", "pyproject.toml", "options.yaml")
    left = (
        ".git/config",
        ".venv/bin/python",
        ".mypy_cache/CACHEDIR.TAG",
        ".env",
        "data/images.npz",
        "runs/first/journal.jsonl",
        "checkpoints/a.bin",
        "my_project/lightning_logs/events",
        "my_project/weights.ckpt",
        "my_project/__pycache__/nas.pyc",
    )
    for name in (*modules, *left):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    create_package(
        str(project),
        package,
        include_gitignore=True,
        excludes=runtime_env()["excludes"],
        logger=logging.getLogger("packing"),
    )
    with zipfile.ZipFile(package) as packed:
        files = {name for name in packed.namelist() if not name.endswith("/")}
    assert files == set(modules)


# docs/cluster.md


@pytest.mark.parametrize("words", commands_of_docs(), ids=" ".join)
def test_the_command_knows_what_the_page_tells_people_to_type(words):
    if words[0] == "search":
        searched(words)
    else:
        _parser().parse_args(words)


def test_every_file_that_the_page_links_to_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", DOCS) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
