"""Networks of other people, of the package timm where it is installed: nobody here wrote them."""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from torch import nn

from estimating.cases import Case
from nas_ray.errors import TraceError
from nas_ray.graph import signature, trace

SIDES = (96, 224)
#: Names in timm, in the groups that they are judged in.
_FAMILIES = {
    "mobile": (
        *("mobilenetv3_small_100", "mobilenetv3_large_100", "mobilenetv4_conv_small"),
        *("mobilenetv4_conv_medium", "efficientnet_lite0", "efficientnet_b0", "tinynet_c"),
        *("rexnet_100", "lcnet_100", "mixnet_s", "hardcorenas_a", "mnasnet_small", "spnasnet_100"),
        *("ghostnet_100", "ghostnetv2_100", "mobileone_s0", "mobileone_s0 fused"),
    ),
    "convolutional": (
        *("regnetx_004", "regnety_004", "resnet18", "resnet26", "dla34", "dla46_c"),
        *("hrnet_w18_small", "selecsls42b", "repvgg_a0", "repvgg_a0 fused", "starnet_s1"),
        *("fasternet_t0", "convnext_atto", "convnext_femto", "inception_next_atto"),
        *("resnext26ts", "ese_vovnet19b_dw"),
    ),
    "attention": (
        *("edgenext_xx_small", "mobilevit_xxs", "mobilevitv2_050", "efficientformer_l1"),
        *("efficientformerv2_s0", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"),
        *("maxvit_pico_rw_256", "efficientvit_b0", "poolformerv2_s12", "mixer_s32_224"),
    ),
}
#: These have to be built for a size of the image.
_SIZED = ("vit_", "swin_", "maxvit_", "mixer_", "efficientformerv2_")
#: A table of positions fits one size only.
_ONE_SIDE = {"efficientformer_l1": (224,)}
#: Branches are folded into one convolution, as for deployment.
_FUSED = " fused"
MISSING = (
    "part `brought` skipped: timm is not installed. `pip install --no-deps --target FOLDER timm "
    "'huggingface_hub<1' safetensors pyyaml tqdm filelock` and FOLDER on PYTHONPATH are enough."
)


class _Anything(type):
    """A class of which every attribute is another one."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Stub(ModuleType):
    """A module from which every class can be imported; none of them is of any use."""

    __path__: list[str] = []  # noqa: RUF012  # what makes it a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Stubs(MetaPathFinder, Loader):
    """Finds torchvision and all of its modules, as stubs."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        is_ours = fullname.partition(".")[0] == "torchvision"
        return ModuleSpec(fullname, self, is_package=True) if is_ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Stubs in place of torchvision, whose wheels do not load beside every torch.

    timm imports it for images, which nobody has here.
    """
    finder = _Stubs()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]


@cache
def timm() -> Any | None:
    """The package, or None where it is not installed."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:  # without a file it is a mere folder of that name
        return None
    with _without_torchvision():
        importlib.import_module("timm.utils")
        return importlib.import_module("timm")


@cache
def brought() -> tuple[list[Case], dict[str, str]]:
    """Each network at each side, and why others cannot be built or traced, by name.

    Empty where timm is not installed.
    """
    package = timm()
    cases: list[Case] = []
    failed: dict[str, str] = {}
    if package is None:
        return cases, failed
    for family, names in _FAMILIES.items():
        for name in names:
            for side in _ONE_SIDE.get(name, SIDES):
                label = f"{name} at {side}"
                try:
                    cases.append(_case(package, name, side, family))
                except (TraceError, RuntimeError, AssertionError, ValueError, TypeError) as error:
                    failed[label] = f"{type(error).__name__}: {error}"
    return cases, failed


def _case(package: Any, name: str, side: int, family: str) -> Case:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.device("meta"):
            network = _built(package, name, side)
            graph = trace(network, torch.empty(1, 3, side, side))
    return Case(
        name=f"{name} at {side}", graph=graph, key=signature(graph), kind=f"{family}, {side}"
    )


def _built(package: Any, name: str, side: int) -> nn.Module:
    plain = name.removesuffix(_FUSED)
    sized = {"img_size": side} if plain.startswith(_SIZED) else {}
    network: nn.Module = package.create_model(plain, **sized)
    if plain != name:
        network = package.utils.reparameterize_model(network)
    return network
