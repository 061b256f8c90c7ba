"""The README is true: its commands and its code run, as they stand but for the size of a search."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: What makes a search long; a test does with less.
SMALLER = (
    (r"trials=\d+", "trials=2"),
    (r"max_epochs=\d+", "max_epochs=1"),
    (r"--trials \d+", "--trials 2 --epochs 1"),
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def smaller(text: str) -> str:
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    return text


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # The README speaks of a clone: its packages are importable there, and `nas-ray` is installed.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_of_the_readme_runs(number, tmp_path):
    code = smaller(blocks("python")[number])
    if "num_samples=-1" in code:
        # A Tuner with a storage of its own would write to the home folder.
        code = code.replace(
            "    tune_config=",
            f"    run_config=tune.RunConfig(storage_path={str(tmp_path)!r}),\n    tune_config=",
            1,
        )
    (tmp_path / "block.py").write_text(code, encoding="utf-8")
    done = run([sys.executable, "block.py"], tmp_path)
    assert done.stdout.strip()


def test_the_commands_of_the_readme_run(tmp_path):
    lines = [line for block in blocks("bash") for line in block.splitlines() if line]
    assert [line.split()[0] for line in lines] == ["nas-ray"] * len(lines)
    for line in lines:
        if line.startswith("nas-ray measure"):
            pytest.importorskip("ethosu", reason="needs the extra ethos-u")
        run(shlex.split(smaller(line)), tmp_path)
    assert (tmp_path / "report.html").exists()


def test_the_make_targets_of_the_readme_exist():
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")
    targets = re.findall(r"^    make (\w+)", README, flags=re.MULTILINE)
    assert targets == ["search", "test"]
    for target in targets:
        run(["make", "--dry-run", target], ROOT)


def test_every_file_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []
