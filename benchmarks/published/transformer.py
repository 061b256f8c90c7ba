"""ViT-Tiny with 16 x 16 patches (Dosovitskiy et al., 2021; the size of Touvron et al., 2021)."""

import torch
from torch import nn

_WIDTH, _HEADS, _LAYERS, _CLASSES = 192, 3, 12, 1000


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.out = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, tokens, width)` to the same shape."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, _HEADS, width // _HEADS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(query, key, value)
        z: torch.Tensor = self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        return z


class Layer(nn.Module):
    """Attention and two linear layers, each after a layer norm and beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(_WIDTH), Attention())
        self.mlp = nn.Sequential(
            nn.LayerNorm(_WIDTH),
            nn.Linear(_WIDTH, 4 * _WIDTH),
            nn.GELU(),
            nn.Linear(4 * _WIDTH, _WIDTH),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, tokens, width)` to the same shape."""
        x = x + self.attention(x)
        y: torch.Tensor = x + self.mlp(x)
        return y


class VisionTransformer(nn.Module):
    """Classifies by an extra token in front."""

    def __init__(self, resolution: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, _WIDTH, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.position = nn.Parameter(torch.zeros(1, (resolution // 16) ** 2 + 1, _WIDTH))
        self.layers = nn.Sequential(*[Layer() for _ in range(_LAYERS)], nn.LayerNorm(_WIDTH))
        self.classifier = nn.Linear(_WIDTH, _CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, 3, resolution, resolution)` to `(N, classes)`."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        y: torch.Tensor = self.classifier(self.layers(x)[:, 0])
        return y


def vit_tiny() -> nn.Module:
    """At 224 x 224."""
    return VisionTransformer(224)
