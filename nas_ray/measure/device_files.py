"""Files that the section [measure] of a device.toml names: they lie in the device folder.

A back-end gets settings and no folder, so it gets their absolute paths. Whether a table still fits
its device depends on what is in them and not on where they lie.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas_ray.errors import DeviceError

#: Back-end to those of its keys in [measure] that name a file.
_FILE_KEYS: Mapping[str, tuple[str, ...]] = {"vela": ("config",)}
HASH = "_sha256"


def with_absolute_paths(section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`section` ([measure]) with each file of the device `folder` as an absolute path.

    Raises DeviceError where there is no such file.
    """
    return {**section, **{key: str(path) for key, path in _files(section, folder)}}


def with_hashes(section: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`section` ([measure]) with the SHA-256 of each file, as `config_sha256`, and not its name.

    Raises DeviceError where there is no such file.
    """
    files = dict(_files(section, folder))
    kept = {key: value for key, value in section.items() if key not in files}
    hashes = {key + HASH: hashlib.sha256(path.read_bytes()) for key, path in files.items()}
    return kept | {key: digest.hexdigest() for key, digest in hashes.items()}


def _files(section: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, Path]]:
    for key in _FILE_KEYS.get(str(section.get("backend")), ()):
        if key not in section:
            continue
        name = section[key]
        path = (folder / str(name)).absolute()
        if not isinstance(name, str) or not path.is_file():
            raise DeviceError(
                f"{folder / 'device.toml'}: [measure] {key} must name a file, its path relative to "
                f"the device folder, but got {name!r} and there is no file {path}. Copy it there, "
                f"or leave {key} out."
            )
        yield key, path
