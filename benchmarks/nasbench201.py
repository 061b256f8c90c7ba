"""The networks of NAS-Bench-201 (Dong and Yang, 2020) as ordinary modules.

A cell is six digits for the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 between its four nodes: 0 none, 1
skip, 2 convolution 1x1, 3 convolution 3x3, 4 average pooling 3x3. A node is the sum of its edges.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NONE, SKIP, CONV1, CONV3, POOL = range(5)
_CELLS_IN_A_STAGE = 5


def live_edges(cell: Sequence[int]) -> tuple[int, ...]:
    """Indices of the edges on a path from node 0 to node 3; the others do nothing."""
    present = [(n, edge) for n, edge in enumerate(EDGES) if cell[n] != NONE]
    reached, needed = {0}, {3}
    for _, (source, target) in present:
        if source in reached:
            reached.add(target)
    for _, (source, target) in reversed(present):
        if target in needed:
            needed.add(source)
    return tuple(n for n, (a, b) in present if a in reached and b in needed)


def compiled_edges(cell: Sequence[int]) -> tuple[int, ...]:
    """Indices of the edges that TensorFlow Lite still runs.

    `none` is a product with 0. After a sum it makes everything before it disappear, but after a
    single convolution it is folded into weights that are 0 then, and the convolution stays. What
    reads zeros is computed all the same.
    """
    present = [(n, edge) for n, edge in enumerate(EDGES) if cell[n] != NONE]
    needed, kept = {3}, set[int]()
    for node in (3, 2, 1):
        into = [n for n, (_, target) in present if target == node]
        read = any(source == node for _, (source, _) in present)
        lone = len(into) == 1 and cell[into[0]] in {CONV1, CONV3} and not read
        if node in needed or lone:
            kept.update(into)
            needed.update(EDGES[n][0] for n in into)
    return tuple(sorted(kept))


def compiled(cell: Sequence[int]) -> tuple[int, ...]:
    """`cell` with `none` on every edge that is not run: two equal ones are one network."""
    kept = compiled_edges(cell)
    return tuple(op if n in kept else NONE for n, op in enumerate(cell))


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
    )


class Zero(nn.Module):
    """An edge without an operation as the benchmark's authors run it, who pay for it."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Zeros of the shape of `image`."""
        return image * 0.0


def _operation(kind: int, channels: int) -> nn.Module:
    if kind == NONE:
        return Zero()
    if kind == SKIP:
        return nn.Identity()
    if kind == POOL:
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return _convolution(channels, channels, {CONV1: 1, CONV3: 3}[kind])


class Cell(nn.Module):
    """The edges numbered `edges` of `cell`, some of which must lead to node 3."""

    def __init__(self, cell: Sequence[int], edges: Iterable[int], channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict({f"{n}": _operation(cell[n], channels) for n in edges})

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """A `(N, C, H, W)` image to one of the same shape."""
        nodes = {0: image}
        for name, operation in self.edges.items():
            source, target = EDGES[int(name)]
            if source not in nodes:
                nodes[source] = image * 0.0
            value = operation(nodes[source])
            nodes[target] = nodes[target] + value if target in nodes else value
        # A convolution that a compiler keeps with weights of 0 is still added to what is returned.
        read = {EDGES[int(name)][0] for name in self.edges}
        for node in sorted(nodes.keys() - read - {3}):
            nodes[3] = nodes[3] + nodes[node] * 0.0
        return nodes[3]


class Reduction(nn.Module):
    """The residual block between stages: half the size, twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, 2 * channels, 3, stride=2)
        self.second = _convolution(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, 2C, H/2, W/2)`."""
        result: torch.Tensor = self.shortcut(image) + self.second(self.first(image))
        return result


def network(cell: Sequence[int], *, as_compiled: bool, classes: int = 10) -> nn.Sequential:
    """The network whose fifteen cells are `cell`, for 32x32 images.

    `as_compiled` leaves out the edges that a compiler removes; otherwise all six run, as they do
    where torch executes the authors' code.
    """
    edges = compiled_edges(cell) if as_compiled else range(len(EDGES))
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]
    for channels in (16, 32, 64):
        layers += [Cell(cell, edges, channels) for _ in range(_CELLS_IN_A_STAGE)]
        if channels < 64:
            layers.append(Reduction(channels))
    layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64, classes))
