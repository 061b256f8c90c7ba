"""How evenly a block's features fill their channels: the entropy of their principal components.

Notation: `N` samples, `C` channels (the second axis), `P` positions (samples times all other axes).
"""

from math import ceil

import torch
from torch import Tensor

# Positions that are enough for the estimate; the early layers have many times as many.
_POSITIONS = 512


def entropies(batch: Tensor, features: list[Tensor]) -> list[float]:
    """Entropy of `batch` and of each block's `features`, in nats.

    Left out are the last block, which is the head, and features with fewer axes than the batch,
    where positions were pooled away; where nothing is left then, nothing is left out.
    """
    body = [value for value in features[:-1] if value.ndim == batch.ndim]
    return [entropy(value) for value in (batch, *(body or features))]


def entropy(features: Tensor) -> float:
    """Of the eigenvalues of the covariance between channels, normalised to the sum 1 (AZ-NAS).

    `features` is `(N, C, ...)`. At most log C, for features that are alike and independent in all
    channels, and at most log(P - 1); 0 for constant ones.
    """
    channels = features.shape[1]
    places = features.flatten(2) if features.ndim > 2 else features[..., None]
    step = ceil(places.shape[0] * places.shape[2] / _POSITIONS)
    # Positions first, then a stride through them: `(P, C)`.
    rows = places.transpose(1, 2).reshape(-1, channels)[::step].float()
    rows = rows - rows.mean(0)
    gram = rows.T @ rows if channels <= len(rows) else rows @ rows.T
    values = torch.linalg.eigvalsh(gram).clamp(min=0).double()
    shares = values / values.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return float(torch.special.entr(shares).sum())
