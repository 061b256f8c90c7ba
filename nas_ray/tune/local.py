"""A Ray to run on: the one that is there, the cluster that is named, or one started here."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import ray
from ray._private import ray_constants

#: Ray Tune would move each worker into its trial's folder, and relative data paths with it.
#: And it would print a box of its own settings, whatever its verbosity.
_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
#: Ray ends a worker that is idle for a second where there are more workers than CPUs. Each pass of
#: the pre-filter would then import torch and fit the device anew, which takes longer than the pass.
_KEEP_WORKERS = {"idle_worker_killing_time_threshold_ms": 600_000}


@contextmanager
def ray_runtime(address: str | None = None) -> Iterator[bool]:
    """Ray for the length of a search, and whether it was started here; only then it is stopped.

    Connects to the cluster at `address` ("auto": the one of this machine), or where RAY_ADDRESS
    names one (`ray job submit` sets it), unless `address` is "local". A local Ray listens on the
    loopback address alone and starts no dashboard.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        yield False
        return
    on_cluster = address != "local" if address else "RAY_ADDRESS" in os.environ
    with nullcontext() if on_cluster else _loopback_only():
        if on_cluster:
            # What every worker prints, in colours, would bury the progress in the log of a job.
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                _system_config=dict(_KEEP_WORKERS),  # Ray adds to it
            )
        try:
            yield not on_cluster
        finally:
            ray.shutdown()


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Ray's own switch for laptops, which it turns on by itself only on macOS and Windows.

    With it every server of a local Ray binds to 127.0.0.1; without it they accept connections from
    other machines. It is read from the environment at import, hence set where it is kept.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
