"""The `nas-ray` command: parsing and printing only."""

from nas_ray.cli.command import main

__all__ = ["main"]
