"""Padding of a sliding window, recovered from its input and output size.

A graph keeps sizes and strides but not padding. Pairs are `(height, width)`; `window` is the
kernel as it lies on the input, dilation included.
"""

Pair = tuple[int, ...]


def is_same(before: Pair, after: Pair, stride: Pair) -> bool:
    """Whether TFLite's SAME padding gives this output: one position for every stride begun."""
    return all(a == -(-b // s) for b, a, s in zip(before, after, stride, strict=True))


def is_valid(before: Pair, after: Pair, window: Pair, stride: Pair) -> bool:
    """Whether no padding gives this output."""
    return all(
        a == (b - w) // s + 1 for b, a, w, s in zip(before, after, window, stride, strict=True)
    )


def explicit_padding(
    before: Pair, after: Pair, window: Pair, stride: Pair
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns to add in front and behind so that a window without padding fits."""
    totals = [
        max(0, (a - 1) * s + w - b)
        for b, a, w, s in zip(before, after, window, stride, strict=True)
    ]
    rows, columns = totals
    return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
