"""A Ray cluster of one node with its job server, on the loopback address alone and behind a token.

It is ended by its own process: `ray stop` would end every Ray of the machine.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
#: Seconds that a start or a job may take on a machine that is busy with other things.
PATIENCE_S = 180.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where its job server is, and the environment of those who know its token."""

    address: str
    token: str
    environment: dict[str, str]

    def ask(self, path: str, *, token: str | None = None) -> Any:
        """What the job server answers; urllib.error.HTTPError where it refuses."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        request = urllib.request.Request(self.address + path, headers=headers)  # noqa: S310 - http
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - of our own
            return json.load(answer)

    def ray(self, *words: str, cwd: Path | None = None) -> str:
        """What `ray WORDS` prints; it must succeed."""
        done = subprocess.run(
            [str(BIN / "ray"), *words],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def ray_cluster(*, cpus: int) -> Iterator[Cluster]:
    """A cluster for as long as it is needed."""
    # Not pytest's folder: the path of a Unix socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="nr"))
    ports = free_ports(5)
    token_file = folder / "token"
    token = secrets.token_hex(32)
    token_file.write_text(token, encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        # Of this checkout, as if it were installed on every node.
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Without it Ray takes 127.0.0.1 for the address of this machine in its network.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_idle_worker_killing_time_threshold_ms": "600000",
    }
    words = [
        *(str(BIN / "ray"), "start", "--head", "--block", f"--num-cpus={cpus}", "--num-gpus=0"),
        *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}/ray"),
        *(f"--port={ports[0]}", f"--dashboard-port={ports[1]}"),
        *(f"--ray-client-server-port={ports[2]}", f"--dashboard-agent-listen-port={ports[3]}"),
        f"--dashboard-agent-grpc-port={ports[4]}",
    ]
    cluster = Cluster(address=f"http://127.0.0.1:{ports[1]}", token=token, environment=environment)
    log = folder / "start.log"
    try:
        with (
            log.open("w") as output,
            subprocess.Popen(words, env=environment, stdout=output, stderr=output) as process,
        ):
            try:
                wait_for_server(cluster, process, log)
                yield cluster
            finally:
                process.terminate()
                process.wait(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_server(cluster: Cluster, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            cluster.ask("/api/version")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"no job server after {PATIENCE_S:g} s: {log.read_text()}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
