"""Curated search spaces, one file a task; each has a function `space()` that returns one.

- `classification`: images to one of several classes
- `blocks`: the plain modules that the spaces are made of
"""
