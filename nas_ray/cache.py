"""Where this package keeps what can be made or fetched again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`NAS_RAY_CACHE` where it is set, else `nas_ray` in the cache folder of the person."""
    chosen = os.environ.get("NAS_RAY_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nas_ray"
