"""Receptive field: how far apart two inputs can be that one output looks at."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.autograd.graph import Node

from nas_ray.zero_shot.layers import inputs
from nas_ray.zero_shot.passes import Passes


def receptive_field(network: nn.Module, batch: Tensor) -> float:
    """The largest receptive field along the last axis, in samples of the input.

    By the windows of convolutions and pools on the widest path (Araujo et al., "Computing
    Receptive Fields of Convolutional Neural Networks", 2019); layers that look at everything, such
    as attention and means over the image, add nothing. `batch` is `(N, ...)` with N >= 2. Raises
    ScoreError where the outputs do not depend on the input.
    """
    return receptive_field_of(Passes(network, batch))


def receptive_field_of(passes: Passes) -> float:
    """The same from passes that other scores share: one forward."""
    path = passes.forward.path
    seen = dict.fromkeys(path, _Field(width=1.0, step=1.0))
    for node in path[-2::-1]:  # from the input, which is the last, each after what it is made from
        before = [seen[made] for made in inputs(node) if made in seen]
        widest = _Field(width=max(f.width for f in before), step=max(f.step for f in before))
        seen[node] = _through(node, widest)
    return max(seen[node].width for node in passes.forward.ends)


@dataclass(frozen=True, kw_only=True)
class _Field:
    """What one value looks at: how many inputs wide, and how many inputs its neighbour is off."""

    width: float
    step: float


def _through(node: Node, before: _Field) -> _Field:
    """The field of what `node` makes of values with the field `before`."""
    resized, size = _saved(node, "output_size"), _saved(node, "self_sym_sizes")
    if resized is not None and size is not None:
        return _Field(width=before.width, step=before.step * size / resized)
    kernel = _saved(node, "kernel_size") or _weight_width(node)
    if kernel is None:
        return before
    # A pool whose stride was not named has that of its kernel.
    stride = _saved(node, "stride") or kernel
    if getattr(node, "_saved_transposed", False):
        step = before.step / stride
        return _Field(width=before.width + (kernel - 1) * step, step=step)
    span = (kernel - 1) * (_saved(node, "dilation") or 1)
    return _Field(width=before.width + span * before.step, step=before.step * stride)


def _saved(node: Node, name: str) -> int | None:
    """What a node keeps of the call that made it, along the last axis."""
    values = getattr(node, f"_saved_{name}", None)
    return int(values[-1]) if values else None


def _weight_width(node: Node) -> int | None:
    """The width of a convolution's weight `(C_out, C_in, ..., width)`."""
    if node.name() != "ConvolutionBackward0":
        return None
    weight = getattr(node.next_functions[1][0], "variable", None)
    return None if weight is None else int(weight.shape[-1])
