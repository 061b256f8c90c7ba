"""Attributes of calls along axes: reductions, norms, concatenation, slices, transpositions.

An axis that is the usual one of a kind is left out (see `Operator`).
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from nas_ray.graph.call import Call, Meaning

#: What transposes channels in groups, `(1, G, C, H, W)`: a channel shuffle.
_SHUFFLE = (0, 2, 1, 3, 4)
_CHANNELS = 1


def reduction(mode: str, *, place: int = 1) -> Callable[[Call], Meaning]:
    """Make the function that describes a reduction; its axes are the argument at `place`."""

    def describe(call: Call) -> Meaning:
        rank = len(call.activations[0])
        given = call.argument(place, "dim")
        found = tuple(sorted(_listed(given, rank))) or tuple(range(1, rank))
        usual = found == tuple(range(2, rank)) and not mode
        attributes = {"mode": mode, "axes": () if usual else found}
        return Meaning(kind="mean", attributes=attributes)

    return describe


def softmax(call: Call) -> Meaning:
    """Describe a softmax along one axis."""
    rank = len(call.activations[0])
    return Meaning(kind="softmax", attributes={"axes": _unusual(call.argument(1, "dim", -1), rank)})


def concatenation(call: Call) -> Meaning:
    """Describe `cat`; constants among what is joined are read as weights."""
    axis = _unusual(call.argument(1, "dim", 0), len(call.result))
    weights = sum(map(prod, call.constants))
    return Meaning(kind="concat", attributes={"axes": axis, "weight_elements": weights})


def stack(call: Call) -> Meaning:
    """Describe `stack`, which joins along a new axis of the result."""
    axis = call.argument(1, "dim", 0) % len(call.result)
    weights = sum(map(prod, call.constants))
    attributes = {"mode": "stack", "axes": (axis,), "weight_elements": weights}
    return Meaning(kind="concat", attributes=attributes)


def roll(call: Call) -> Meaning:
    """Describe `roll`: what leaves on one side enters on the other."""
    axes = _listed(call.argument(2, "dims", ()), len(call.result))
    return Meaning(kind="concat", attributes={"mode": "roll", "axes": axes})


def slicing(place: int) -> Callable[[Call], Meaning]:
    """Make the function that describes a slice; its axis is the argument at `place`."""

    def describe(call: Call) -> Meaning:
        rank = len(call.activations[0])
        axis = call.argument(place, "dim", 0)
        attributes: dict[str, Any] = {"axes": _unusual(axis, rank)}
        step = call.argument(4, "step", 1) if place == 1 and len(call.result) == rank else 1
        if step > 1:
            attributes["stride"] = (step, 1) if axis % rank < rank - 1 else (1, step)
        return Meaning(kind="slice", attributes=attributes)

    return describe


def permutation(call: Call) -> Meaning:
    """Describe `permute`."""
    return _transposed(_listed(call.argument(1, "dims"), len(call.activations[0])))


def transposition(call: Call) -> Meaning:
    """Describe `transpose` of two axes, and `t`."""
    rank = len(call.activations[0])
    order = list(range(rank))
    first, second = call.argument(1, "dim0", 0) % rank, call.argument(2, "dim1", 1) % rank
    order[first], order[second] = second, first
    return _transposed(tuple(order))


def shuffle(call: Call) -> Meaning:
    """Describe a channel shuffle in one call."""
    attributes = {"mode": "shuffle", "groups": call.argument(1, "groups")}
    return Meaning(kind="transpose", attributes=attributes)


def flip(call: Call) -> Meaning:
    """Describe `flip`."""
    axes = _listed(call.argument(1, "dims"), len(call.result))
    return Meaning(kind="flip", attributes={"axes": axes})


def layer_norm(call: Call) -> Meaning:
    """Describe a norm of the last axes, over which its statistics are taken."""
    count, rank = len(call.argument(1, "normalized_shape")), len(call.result)
    axes = tuple(range(rank - count, rank)) if count > 1 else ()
    return Meaning(kind="layer_norm", attributes={"axes": axes, "weight_elements": _read(call)})


def rms_norm(call: Call) -> Meaning:
    """Describe a norm of the last axis by its root mean square."""
    return Meaning(kind="layer_norm", attributes={"mode": "rms", "weight_elements": _read(call)})


def group_norm(call: Call) -> Meaning:
    """Describe a norm of the channels in groups."""
    attributes = {"mode": "group", "groups": call.arguments[6], "weight_elements": _read(call)}
    return Meaning(kind="layer_norm", attributes=attributes)


def batch_norm(call: Call) -> Meaning:
    """Describe a scale and a shift a channel; folded into a convolution only the shift is left.

    One that computes its statistics from the input (an instance norm) cannot be folded.
    """
    uses_input = next((a for a in call.arguments if isinstance(a, bool)), False)
    if uses_input:
        attributes = {"mode": "instance", "weight_elements": _read(call)}
        return Meaning(kind="layer_norm", attributes=attributes)
    return Meaning(kind="batch_norm", attributes={"bias_elements": call.result[1]})


def expansion(call: Call) -> Meaning:
    """Describe `expand` and `repeat`: views where nothing is repeated."""
    grows = prod(call.result) > prod(call.activations[0])
    return Meaning(kind="repeat" if grows else "reshape")


def resize(mode: str) -> Callable[[Call], Meaning]:
    """Make the function that describes resizing; aligned corners are a mode of their own."""

    def describe(call: Call) -> Meaning:
        corners = mode != "nearest" and bool(call.argument(2, "align_corners", False))
        named = (mode or "bilinear") + "_corners" if corners else mode
        return Meaning(kind="resize", attributes={"mode": named})

    return describe


def padding(mode: str) -> Callable[[Call], Meaning]:
    """Make the function that describes padding by what `mode` says; empty: by a constant."""
    return lambda _: Meaning(kind="pad", attributes={"mode": mode})


def _transposed(order: tuple[int, ...]) -> Meaning:
    return Meaning(kind="transpose", attributes={"axes": () if order == _SHUFFLE else order})


def _unusual(axis: int, rank: int) -> tuple[int, ...]:
    """Return the axis as a tuple, an empty one for the channels of an image or a signal."""
    place = axis % max(rank, 1)
    return () if place == _CHANNELS and rank > _CHANNELS + 1 else (place,)


def _listed(given: Sequence[int] | int | None, rank: int) -> tuple[int, ...]:
    if given is None:
        return ()
    return tuple(n % rank for n in ([given] if isinstance(given, int) else given))


def _read(call: Call) -> int:
    return sum(map(prod, call.constants))
