"""What a family makes: one small module and the shapes of its inputs."""

from torch import nn

Sample = tuple[nn.Module, *tuple[tuple[int, ...], ...]]
