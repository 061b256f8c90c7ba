"""What `pip install .` gives: three packages with their data, the command, honest metadata."""

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = ("nas_ray", "search_spaces", "trainables")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(words: list, folder: Path, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """An environment with the built wheel; what it depends on is lent from this one.

    Only plain packages can be seen through a path, so the editable install of the checkout is not.
    """
    folder = tmp_path_factory.mktemp("installed")
    # From a copy: setuptools would pack what an earlier build left in the checkout.
    source = folder / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = ("wheel", source, "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    run([*pip, *build], folder)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "env"
    run([sys.executable, "-m", "venv", "--without-pip", environment], folder)
    python = environment / "bin" / "python"
    run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], folder)
    site = Path(
        run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
        ).strip()
    )
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return environment / "bin"


def test_the_wheel_is_what_is_imported(installed, tmp_path):
    code = "; ".join(f"import {name}; print({name}.__file__)" for name in PACKAGES)
    for line in run([installed / "python", "-c", code], tmp_path).split():
        assert Path(line).is_relative_to(installed.parent)


def test_the_command_of_the_wheel_finds_devices_spaces_and_estimates_from_any_folder(
    installed, tmp_path
):
    nas_ray = installed / "nas-ray"
    devices = json.loads(run([nas_ray, "devices", "--json"], tmp_path).splitlines()[-1])
    assert "ethos-u85-2048" in devices["devices"]
    spaces = json.loads(run([nas_ray, "spaces", "--json"], tmp_path).splitlines()[-1])
    assert "classification" in spaces
    words = ("search_spaces.classification:space", "--device", "ethos-u85-2048", "--json")
    cost = json.loads(run([nas_ray, "estimate", *words], tmp_path).splitlines()[-1])
    assert cost["latency_ms"] == pytest.approx(0.095, rel=0.15)


def test_everything_imported_is_required_or_comes_with_what_is():
    required = {Requirement(text).name for text in PROJECT["dependencies"]}
    optional = {
        Requirement(text).name
        for texts in PROJECT["optional-dependencies"].values()
        for text in texts
    }
    brought = required | {name for one in required for name in requirements_of(one)}
    known = packages_distributions()
    for module in sorted(third_party_imports()):
        names = {name.lower().replace("_", "-") for name in known.get(module, [])}
        assert names & (brought | optional), f"{module} is imported, but nothing brings it"


def requirements_of(name: str) -> set[str]:
    """What the base of a distribution requires by name, extras aside (but ray's `tune`)."""
    found = set()
    for text in distribution(name).requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": "tune" if name == "ray" else ""}):
            found.add(requirement.name.lower().replace("_", "-"))
    return found


def third_party_imports() -> set[str]:
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def test_the_base_has_no_upper_bounds_and_every_extra_is_there():
    for text in PROJECT["dependencies"]:
        assert {part.operator for part in Requirement(text).specifier} == {">="}
    assert set(PROJECT["optional-dependencies"]) == {"ethos-u", "onnx", "cluster", "dev"}
