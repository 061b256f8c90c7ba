"""How often each style of whole network is drawn: half classic classifiers, half other styles."""

from collections.abc import Callable, Mapping
from functools import partial

from nas_ray.measure.families.sample import Sample
from nas_ray.measure.networks import (
    dense_prediction,
    light_stages,
    medleys,
    sequences,
    stages,
    transformers,
)
from nas_ray.measure.networks.classifiers import classifier, light_classifier
from nas_ray.measure.sizes import Sizes

Styles = Mapping[Callable[[Sizes], Sample], float]

CLASSIC: Styles = {
    partial(classifier, stage=stages.inverted): 0.54,
    partial(classifier, stage=stages.separable): 0.1,
    partial(classifier, stage=stages.residual): 0.1,
    partial(classifier, stage=stages.grouped): 0.07,
    partial(classifier, stage=stages.fire): 0.05,
    partial(classifier, stage=stages.shuffled): 0.08,
    partial(classifier, stage=stages.dense): 0.06,
}

#: Networks as people build them, of other kinds than classic classifiers.
_BUILT: Styles = {
    partial(light_classifier, stage=light_stages.permuted): 0.06,
    partial(light_classifier, stage=light_stages.branches): 0.05,
    partial(light_classifier, stage=light_stages.partial): 0.05,
    partial(light_classifier, stage=light_stages.ghosts): 0.05,
    partial(light_classifier, stage=light_stages.mixed_kernels): 0.04,
    partial(light_classifier, stage=light_stages.extra_depthwise): 0.06,
    partial(light_classifier, stage=light_stages.gated_bottlenecks): 0.07,
    partial(light_classifier, stage=light_stages.inception): 0.03,
    partial(light_classifier, stage=light_stages.split): 0.05,
    partial(light_classifier, stage=light_stages.large_kernels): 0.03,
    partial(light_classifier, stage=light_stages.plain): 0.06,
    transformers.vision_transformer: 0.07,
    transformers.mlp_mixer: 0.04,
    transformers.pool_former: 0.02,
    transformers.hybrid: 0.04,
    dense_prediction.detector: 0.07,
    dense_prediction.encoder_decoder: 0.05,
    dense_prediction.atrous_segmenter: 0.04,
    dense_prediction.parallel_resolutions: 0.02,
    dense_prediction.upscaler: 0.01,
    sequences.separable_words: 0.025,
    sequences.temporal_residuals: 0.02,
    sequences.raw_signal: 0.01,
    sequences.spectrogram: 0.015,
    sequences.recurrent: 0.01,
    sequences.perceptrons: 0.01,
}
#: What extends a table that has only classic classifiers.
OTHER_STYLES: Styles = {
    **{style: share * 0.7 for style, share in _BUILT.items()},
    medleys.medley: 0.3,
}
STYLES: Styles = {
    style: share / 2 for styles in (CLASSIC, OTHER_STYLES) for style, share in styles.items()
}
