"""The Ray that a search starts: for this machine alone, and gone when the search is."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from nas_ray.tune.local import ray_runtime

LISTENING = "0A"

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's /proc")


def listening_addresses(pids: set[int]) -> set[str]:
    """The addresses at which processes wait for connections."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(str(link.readlink()))
            except OSError:
                continue
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in sockets:
                found.add(readable(fields[1].split(":")[0], family))
    return found


def readable(text: str, family: int) -> str:
    # The kernel prints each group of four bytes in the order of the host.
    groups = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    return socket.inet_ntop(family, b"".join(groups)).removeprefix("::ffff:")


def ray_processes() -> set[int]:
    """Processes that Ray started, and this one."""
    names = ("gcs_server", "raylet", "ray::", "ray/_private", "ray/dashboard")
    found = {os.getpid()}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if any(name in words for name in names):
                found.add(int(folder.name))
    return found


def test_nothing_of_it_listens_beyond_this_machine(local_ray):
    ray.get(ray.remote(lambda: None).remote())  # a worker too
    addresses = listening_addresses(ray_processes())
    assert addresses
    assert addresses <= {"127.0.0.1", "::1"}


def test_a_ray_that_is_there_is_used_and_left_running(local_ray):
    with ray_runtime() as is_own:
        assert is_own is False
    assert ray.is_initialized()


def test_a_ray_started_for_a_search_is_stopped_at_its_end():
    code = (
        "import ray\n"
        "from nas_ray.tune.local import ray_runtime\n"
        "with ray_runtime() as is_own:\n"
        "    assert is_own is True and ray.is_initialized()\n"
        "assert not ray.is_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
