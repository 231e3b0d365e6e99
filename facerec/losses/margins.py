"""Losses that are a softmax over cosines to class centres, with a margin for the true class, as pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EDGE = 1e-7  # angles are taken of cosines this far inside ±1, where the gradient of arccos is finite
LEAST_DEVIATION = 1e-3  # added to the deviation of the norms, as AdaFace's authors do

Margins = tuple[float, float | Tensor, float | Tensor]


@dataclass(frozen=True)
class MarginLoss:
    """A margin loss with its numbers.

    Attributes:
        scale: s, see `combined`.
        margins: m₁, m₂ and m₃ there; with `adaptive`, AdaFace's m is m₃.
        adaptive: Whether the margin follows the length of the embedding, as in AdaFace.
        subcentres: Centres a class, see `pooled`.
        threshold: Negatives of a larger cosine are left out, see `filtered`; None leaves none out.
    """

    scale: float
    margins: tuple[float, float, float]
    adaptive: bool = False
    subcentres: int = 1
    threshold: float | None = None

    def logits(self, cosines: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """Logits with the margin, see `combined` and `adaface`; `quality` is None unless the loss is adaptive."""
        if quality is None:
            return combined(cosines, labels, self.scale, self.margins)
        return adaface(cosines, labels, quality, self.scale, self.margins[2])


def combined(cosines: Tensor, labels: Tensor, scale: float, margins: Margins) -> Tensor:
    """The logits of the combined margin, equation 4 of Deng et al. 2019, "ArcFace".

    The true class has s (cos(m₁ θ + m₂) - m₃), every other s cos θ. Special cases, as (m₁, m₂, m₃):

    - (1, 0, m): CosFace, s (cos θ - m), equation 4 of Wang et al. 2018.
    - (1, m, 0): ArcFace, s cos(θ + m), equation 3 of Deng et al. 2019. Beyond θ = π - m see `turned`.
    - (1, 0, 0): a softmax without margin (Wang et al. 2017, "NormFace"). With s = 2 / T it is ProxyNCA++ (Teh et al.
      2020).

    Args:
        cosines: [n, classes], of embeddings to class centres.
        labels: Int64 [n], the class of each row.
        scale: s.
        margins: m₁, m₂ in radians, m₃ in cosine; m₂ and m₃ may be [n, 1], a margin a row. (π - m₂) / m₁ is at least
            π / 3, see `turned`.

    Returns:
        [n, classes]; their cross-entropy is the loss.
    """
    factor, angle, difference = margins
    rows = labels[:, None]
    true = cosines.gather(1, rows)
    if factor != 1 or torch.is_tensor(angle) or angle != 0:
        true = turned(true, factor, angle)
    return scale * cosines.scatter(1, rows, true - difference)


def turned(cosines: Tensor, factor: float, angle: float | Tensor) -> Tensor:
    """cos(m₁ θ + m₂), going on falling where m₁ θ + m₂ is beyond π.

    There, from θ₀ = (π - m₂) / m₁ on, it is cos θ - sin(θ₀) (π - θ₀): of ArcFace the usual cos θ - m sin m. As long as
    θ₀ is at least π / 3 this is below -1, so the whole falls with θ. Below 0 (AdaFace's m₂ can be negative) it stays 1.

    Args:
        cosines: cos θ; θ is kept `EDGE` off cosines of ±1, so that gradients are finite.
        factor: m₁.
        angle: m₂, in radians.
    """
    theta = torch.arccos(cosines.clamp(-1 + EDGE, 1 - EDGE))
    last = torch.as_tensor((math.pi - angle) / factor, dtype=cosines.dtype)
    beyond = cosines - torch.sin(last) * (math.pi - last)
    return torch.where(theta <= last, torch.cos((factor * theta + angle).clamp(min=0)), beyond)


def adaface(cosines: Tensor, labels: Tensor, quality: Tensor, scale: float = 64.0, margin: float = 0.4) -> Tensor:
    """The logits of the quality adaptive margin loss, equations 18 and 19 of Kim et al. 2022, "AdaFace".

    The true class has s (cos(θ + g_angle) - g_add), g_angle = -m q and g_add = m q + m: ArcFace with a negative angle
    for a face of quality q = 1, CosFace for q = 0, ArcFace for q = -1.

    Args:
        cosines: [n, classes], of embeddings to class centres.
        labels: Int64 [n], the class of each row.
        quality: [n], from -1 to 1, see `NormStatistics`.
        scale: s.
        margin: m.

    Returns:
        [n, classes]; their cross-entropy is the loss.
    """
    turn = -margin * quality[:, None]
    return combined(cosines, labels, scale, (1.0, turn, margin - turn))


class NormStatistics(nn.Module):
    """The image quality that AdaFace reads off an embedding's length, equation 16: clip((‖z‖ - μ) / (σ / h), -1, 1).

    μ and σ are running means of those of the batches, equation 17. Until 1 / `t_alpha` batches are seen they are plain
    means, so they begin with those of the first batch. The authors begin with lengths of their own networks.

    Args:
        h: How much of the range from -1 to 1 is used: with 0.333, lengths within three deviations of the mean.
        t_alpha: Weight of the newest batch.
    """

    def __init__(self, h: float = 0.333, t_alpha: float = 0.01):
        super().__init__()
        self.h, self.t_alpha = h, t_alpha
        self.mean: Tensor
        self.deviation: Tensor
        self.batches: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.zeros(()))
        self.register_buffer("batches", torch.zeros(()))

    @torch.no_grad()
    def forward(self, norms: Tensor) -> Tensor:
        """The qualities of a batch, which in training first joins the running statistics; no gradient.

        Args:
            norms: [n], lengths of embeddings before they are normalised; one alone joins nothing.

        Returns:
            [n].
        """
        if self.training and len(norms) > 1:
            self.batches += 1
            share = (1 / self.batches).clamp(min=self.t_alpha)
            self.mean += share * (norms.mean() - self.mean)
            self.deviation += share * (norms.std() - self.deviation)
        return (self.h * (norms - self.mean) / (self.deviation + LEAST_DEVIATION)).clamp(-1, 1)


def pooled(cosines: Tensor, subcentres: int) -> Tensor:
    """Cosines to classes of several centres, max_k cos θ_jk (Deng et al. 2020, "Sub-center ArcFace").

    Args:
        cosines: [n, classes * subcentres], those of a class side by side.
        subcentres: Centres a class.

    Returns:
        [n, classes].
    """
    return cosines if subcentres == 1 else cosines.unflatten(1, (-1, subcentres)).amax(2)


def filtered(logits: Tensor, cosines: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Logits without the negatives that look like the same person under another label.

    An inter-class filter against label noise, as in insightface's arcface_torch beside Partial FC (An et al. 2022):
    there such logits become 0; here they are left out of the denominator, exp(-∞) = 0, and have no gradient.

    Args:
        logits: [n, classes], with the margin.
        cosines: [n, classes], without.
        labels: Int64 [n], the column of each row's class, which always stays; -1 for one that is not among them.
        threshold: A negative is left out if its cosine is above.

    Returns:
        [n, classes].
    """
    noisy, rows = cosines > threshold, (labels >= 0).nonzero()[:, 0]
    noisy[rows, labels[rows]] = False
    return logits.masked_fill(noisy, -torch.inf)
