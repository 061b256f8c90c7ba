"""What several test modules share: one Ray for all of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_ray.device import Device, device_folder, load_device
from nas_ray.measure.table import read_text, table_path
from nas_ray.tune.local import ray_runtime


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray on this machine, started as a search starts it; searches inside use it."""
    # Workers import tiny_job too, and read and write the store that test_storage_s3 starts: what
    # they know of credentials is what the environment said when Ray was started.
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "key-of-no-account")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "secret-of-no-account")
    with ray_runtime():
        yield


@pytest.fixture(scope="session")
def small_device_folder(tmp_path_factory) -> Path:
    """The shipped device with every twentieth row of its table: fitted in no time, less exact."""
    shipped, folder = device_folder("ethos-u85-2048"), tmp_path_factory.mktemp("small_device")
    (folder / "device.toml").write_text((shipped / "device.toml").read_text())
    head, *rows = read_text(table_path(shipped)).splitlines(keepends=True)
    (folder / "measurements.csv").write_text("".join([head, *rows[::20]]))
    return folder


@pytest.fixture(scope="session")
def small_device(small_device_folder) -> Device:
    """The device in that folder."""
    return load_device(small_device_folder)
