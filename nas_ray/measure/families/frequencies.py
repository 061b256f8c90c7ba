"""How often each family is drawn: half are mobile and residual blocks, half all other kinds.

Within the other kinds shares are such that of 5,000 subgraphs about a hundred or more have each
kind of operator and each of its variants.
"""

from collections.abc import Callable, Mapping

from nas_ray.measure.families import (
    attention,
    convolutions,
    gates,
    heads,
    joining,
    light_blocks,
    mobile,
    pointwise,
    recurrent,
    reductions,
    resizing,
    signals,
    stems,
    tokens,
)
from nas_ray.measure.families.sample import Sample
from nas_ray.measure.sizes import Sizes

Frequencies = Mapping[Callable[[Sizes], Sample], float]

#: Plain and fused inverted bottlenecks of any size at all are 60 % of these.
MOBILE: Frequencies = {
    mobile.wide_plain: 0.3,
    mobile.wide_fused: 0.3,
    mobile.inverted_bottleneck: 0.08,
    mobile.fused: 0.06,
    mobile.stem: 0.035,
    mobile.gated: 0.025,
    mobile.separable: 0.03,
    mobile.convolution: 0.03,
    mobile.residual_pair: 0.03,
    mobile.head: 0.02,
    mobile.widening: 0.02,
    mobile.pooling: 0.01,
    mobile.signal: 0.015,
    mobile.fire: 0.01,
    mobile.grouped: 0.01,
    mobile.shuffled: 0.01,
    mobile.dense: 0.005,
    mobile.hourglass: 0.005,
    mobile.upsampling: 0.005,
}

_OTHER_WEIGHTS: Frequencies = {
    convolutions.activated: 7.0,
    convolutions.dilated: 6.0,
    convolutions.atrous_pyramid: 0.8,
    convolutions.dilated_residual: 0.8,
    convolutions.any_kernel: 5.0,
    convolutions.in_two_strips: 1.2,
    convolutions.uneven_stride: 3.0,
    convolutions.any_groups: 2.5,
    convolutions.channel_multiplier: 3.0,
    convolutions.unpadded: 2.0,
    stems.patches: 4.0,
    stems.large_steps: 4.0,
    stems.folded_image: 1.2,
    stems.deep_stem: 1.2,
    tokens.linear: 3.0,
    tokens.vector_perceptron: 1.0,
    tokens.token_perceptron: 2.0,
    tokens.gated_perceptron: 1.0,
    tokens.token_mixer: 1.2,
    tokens.patch_tokens: 1.5,
    tokens.token_head: 1.2,
    tokens.permuted_block: 1.8,
    tokens.map_of_tokens: 1.0,
    attention.attention: 2.5,
    attention.pooled_attention: 0.8,
    attention.attention_of_channels: 0.8,
    attention.product: 2.5,
    attention.softmax: 3.5,
    pointwise.activation_alone: 4.5,
    pointwise.function_alone: 2.5,
    pointwise.of_two: 6.0,
    pointwise.with_constant: 4.0,
    pointwise.norm_of_map: 2.5,
    pointwise.norm_of_tokens: 1.5,
    pointwise.norm_of_channels: 1.2,
    pointwise.batch_norm_alone: 2.5,
    resizing.resized: 6.0,
    resizing.resized_after: 1.5,
    resizing.merged_resize: 1.5,
    resizing.pixel_shuffle: 4.0,
    resizing.pixel_unshuffle: 3.5,
    resizing.transposed: 8.0,
    resizing.hourglass_step: 0.8,
    reductions.mean_over: 6.0,
    reductions.mean_of_tokens: 1.0,
    reductions.mean_then_linear: 1.5,
    reductions.flattened_head: 0.8,
    reductions.max_pooled: 5.0,
    reductions.average_pooled: 5.0,
    reductions.pooled_and_convolved: 1.0,
    reductions.pool_cascade: 0.8,
    reductions.scene_pyramid: 0.5,
    joining.concatenated: 3.0,
    joining.joined_tokens: 0.8,
    joining.in_parts: 1.5,
    joining.several_outputs: 1.5,
    joining.sliced: 2.5,
    joining.padded: 6.0,
    joining.reordered: 2.0,
    gates.squeezed_gate: 2.0,
    gates.spatial_gate: 1.5,
    gates.neighbouring_channels_gate: 0.6,
    gates.coordinate_gate: 0.7,
    gates.selective_kernels: 0.8,
    gates.convolved_gate: 1.0,
    light_blocks.ghost_block: 1.2,
    light_blocks.mixed_kernel_block: 1.2,
    light_blocks.partial_block: 1.2,
    light_blocks.branches_block: 1.5,
    light_blocks.inception_block: 0.8,
    light_blocks.extra_depthwise_block: 1.5,
    light_blocks.gated_bottleneck_block: 2.0,
    light_blocks.split_stage_block: 1.2,
    signals.signal_kernel: 2.5,
    signals.raw_signal: 1.2,
    signals.dilated_residual_in_time: 1.2,
    signals.separable_signal: 1.2,
    signals.gated_signal: 0.8,
    signals.pooled_signal: 1.2,
    recurrent.recurrence: 0.6,
    recurrent.gru_step: 0.5,
    recurrent.lstm_step: 0.5,
    recurrent.plain_steps: 0.5,
    heads.detection_head: 1.2,
    heads.anchors_head: 0.8,
    heads.distances_head: 0.6,
    heads.mask_head: 1.0,
    heads.weighted_merge: 0.8,
    heads.exchanged_scales: 1.0,
    heads.matched_maps: 0.5,
}


def _shares(weights: Frequencies, total: float) -> Frequencies:
    scale = total / sum(weights.values())
    return {family: weight * scale for family, weight in weights.items()}


#: What extends a table that has only mobile and residual blocks.
OTHER_KINDS: Frequencies = _shares(_OTHER_WEIGHTS, 1.0)
FAMILIES: Frequencies = {**_shares(MOBILE, 0.5), **_shares(OTHER_KINDS, 0.5)}
