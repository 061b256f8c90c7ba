"""Published architectures as plain modules, to ask an estimator about what people really use.

Written from the papers; nothing is trained. Build them under `torch.device("meta")`: fast, no data.
"""

from collections.abc import Callable, Mapping

from torch import nn

from . import (
    concatenating,
    dense_prediction,
    mobilenet,
    regnet,
    resnet,
    searched,
    speech,
    transformer,
)

Builder = Callable[[], nn.Module]

CLASSIFIERS: Mapping[str, tuple[Builder, int]] = {
    "mobilenet_v1_0.25": (mobilenet.mobilenet_v1_025, 96),
    "mobilenet_v1_0.5": (mobilenet.mobilenet_v1_050, 224),
    "mobilenet_v1_1.0": (mobilenet.mobilenet_v1, 224),
    "mobilenet_v2_0.75": (mobilenet.mobilenet_v2_075, 224),
    "mobilenet_v2_1.0": (mobilenet.mobilenet_v2, 224),
    "mobilenet_v2_1.4": (mobilenet.mobilenet_v2_140, 224),
    "mobilenet_v3_small": (mobilenet.mobilenet_v3_small, 224),
    "mobilenet_v3_large": (mobilenet.mobilenet_v3_large, 224),
    "mnasnet_1.0": (searched.mnasnet, 224),
    "efficientnet_b0": (searched.efficientnet_b0, 224),
    "efficientnet_lite0": (searched.efficientnet_lite0, 224),
    "fbnet_c": (searched.fbnet_c, 224),
    "resnet8": (resnet.resnet8, 32),
    "resnet18": (resnet.resnet18, 224),
    "resnet50": (resnet.resnet50, 224),
    "regnet_x_200mf": (regnet.regnet_x_200mf, 224),
    "regnet_x_400mf": (regnet.regnet_x_400mf, 224),
    "regnet_y_200mf": (regnet.regnet_y_200mf, 224),
    "regnet_y_400mf": (regnet.regnet_y_400mf, 224),
    "squeezenet_1.1": (concatenating.squeezenet, 224),
    "shufflenet_v2_1.0": (concatenating.shufflenet_v2, 224),
    "densenet121": (concatenating.densenet121, 224),
}
"""Name to builder and the resolution it is published at: convolutional, `(1, 3, R, R)` images in.

All of them also run at any resolution from 96 to 224, resnet8 and mobilenet_v1_0.25 included.
"""

OTHERS: Mapping[str, tuple[Builder, tuple[int, ...]]] = {
    "unet_0.25": (dense_prediction.unet, (1, 3, 128, 128)),
    "vit_tiny": (transformer.vit_tiny, (1, 3, 224, 224)),
    "ds_cnn": (speech.ds_cnn, (1, 1, 49, 10)),
    "m5": (speech.m5, (1, 1, 8000)),
    "conv_gru": (speech.conv_gru, (1, 40, 98)),
}
"""Name to builder and input shape: dense prediction, attention, signals, recurrence."""
