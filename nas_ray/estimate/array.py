"""How an accelerator makes an output: block by block, from buffers of limited size.

Section [array] of a device.toml. A convolution's output is made in blocks. What a block needs of
the input must fit the input buffer, its unfinished sums must fit the accumulators, both twice, so
that the next block is on its way while one is worked on. Inside a block, micro-blocks of outputs
are made at once.
"""

from dataclasses import dataclass

#: Height, width and channels.
Block = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Array:
    """The arithmetic of an accelerator.

    Of `micro_blocks` a convolution takes the one that wastes least, a depthwise convolution
    `depthwise_micro_block`. A block has at most `block_limit`. The buffers are separate memories
    of `input_bytes` and `accumulator_bytes`, or, with `shared_bytes` above 0, shares of one, given
    out in steps of `input_step_bytes` and `accumulator_step_bytes`. An accumulator has 4 bytes.

    Kernel first, `input_channels[0]` channels of the input are worked on for `kernel_lanes`
    kernel elements at a time; depth first, `input_channels[1]` channels for one. Which of the two
    is taken depends on how full the lanes are; a kernel counts as a multiple of `kernel_step[0]`
    elements and at least `kernel_step[1]` more. `input_patch` are the heights and widths of which
    the input is read in multiples, kernel first and depth first. `weight_cycles` is the least
    time of a micro-block for each of its channels: so long its weights take to arrive.

    Activations are stored in bricks of `brick_channels`; weights with their channels in and out
    rounded up to `weight_channels`, or those of a depthwise convolution to a brick; each channel
    has `constant_bytes` of scale and bias. A stride above `largest_stride` without padding is
    unrolled into one operation an output pixel; a dilation above `largest_dilation` is made by
    zeros between the weights. A kernel is worked on in parts of at most `kernel_limit` on a side,
    for each of which the input is read anew. 0 stands for no such limit. `splits_transposed` says
    that a transposed convolution is made of plain ones of the image as it is, one a step.
    """

    micro_blocks: tuple[Block, ...]
    depthwise_micro_block: Block
    block_limit: Block
    input_bytes: int
    accumulator_bytes: int
    shared_bytes: int
    input_step_bytes: int
    accumulator_step_bytes: int
    input_channels: tuple[int, int]
    kernel_lanes: int
    kernel_step: tuple[int, int]
    input_patch: tuple[tuple[int, int], tuple[int, int]]
    weight_cycles: float
    cores: int
    brick_channels: int
    weight_channels: int
    constant_bytes: int
    largest_stride: int
    largest_dilation: int
    kernel_limit: int
    splits_transposed: bool
