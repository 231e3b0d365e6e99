"""What training puts on a backbone: class centres, and a loss over the cosines to them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerec.losses.margins import NormStatistics, adaface, combined, filtered, pooled
from facerec.losses.partial_fc import INITIAL_DEVIATION
from facerec.losses.proxies import coarse_proxies, kmeans_groups, proxy_anchor, proxy_nca

PROXY_LOSSES = ("proxy_nca", "proxy_anchor")
HIERARCHY_WEIGHT = 0.1
KMEANS_STEPS = 200


class MarginHead(nn.Module):
    """Centres of classes and a cross-entropy over cosines to them, with a margin.

    Args:
        classes: Number of classes.
        embedding_size: Length of an embedding.
        scale: s, see `combined`.
        margins: m₁, m₂ and m₃ there; with `adaptive`, AdaFace's m is m₃.
        subcentres: Centres a class, see `pooled`.
        adaptive: Whether the margin follows the length of the embedding, as in AdaFace.
        threshold: Negatives of a larger cosine are left out, see `filtered`; None leaves none out.
    """

    def __init__(
        self, classes: int, embedding_size: int, scale: float, margins: tuple[float, float, float],
        subcentres: int = 1, adaptive: bool = False, threshold: float | None = None,
    ):  # fmt: skip
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes * subcentres, embedding_size) * INITIAL_DEVIATION)
        self.scale, self.margins, self.subcentres, self.threshold = scale, margins, subcentres, threshold
        self.statistics = NormStatistics() if adaptive else None

    def forward(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and cosines without the margin.

        Args:
            embeddings: [n, embedding_size], not normalised.
            labels: Int64 [n].
            weights: [n], > 0.

        Returns:
            The loss, a scalar; cosines [n, classes].
        """
        logits, cosines = self.logits(embeddings.to(self.centres.dtype), labels)
        if self.threshold is not None:
            logits = filtered(logits, cosines, labels, self.threshold)
        return weighted_mean(F.cross_entropy(logits, labels, reduction="none"), weights), cosines

    def logits(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits with the margin and cosines without, both [n, classes]."""
        cosines = pooled(F.linear(F.normalize(embeddings), F.normalize(self.centres)), self.subcentres)
        if self.statistics is None:
            return combined(cosines, labels, self.scale, self.margins), cosines
        quality = self.statistics(embeddings.norm(dim=1))
        return adaface(cosines, labels, quality, self.scale, self.margins[2]), cosines


class ProxyHead(nn.Module):
    """A proxy a class and a proxy loss, with coarser levels if there are any (Yang et al. 2022).

    The loss is that of the classes plus `level_weight` times that of each level of coarser classes. As there, coarse
    proxies are averages that have no gradient of their own; they are taken anew at each step.

    Args:
        classes: Number of classes.
        embedding_size: Length of an embedding.
        loss: One of `PROXY_LOSSES`.
        scale: See the loss.
        margin: See `proxy_anchor`.
        levels: Int64 [levels, classes], the coarser classes of each level, consecutive from 0.
        level_weight: λ.
        clusters: If not 0, the one level there is comes from k-means with so many clusters instead, begun after
            `kmeans_steps` steps, so that the proxies mean something, and repeated after as many.
        kmeans_steps: T.
        seed: Of k-means.
    """

    def __init__(
        self, classes: int, embedding_size: int, loss: str, scale: float, margin: float = 0.0,
        levels: Tensor | None = None, level_weight: float = HIERARCHY_WEIGHT,
        clusters: int = 0, kmeans_steps: int = KMEANS_STEPS, seed: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, embedding_size) * INITIAL_DEVIATION)
        self.loss, self.scale, self.margin, self.level_weight = loss, scale, margin, level_weight
        self.clusters, self.kmeans_steps, self.seed = clusters, kmeans_steps, seed
        self.levels: Tensor
        self.steps: Tensor
        none = torch.zeros(1 if clusters else 0, classes, dtype=torch.int64)
        self.register_buffer("levels", none if levels is None else levels)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and cosines to the proxies of classes; see `MarginHead.forward`."""
        if self.training and self.clusters:
            self._cluster()
        directions = F.normalize(embeddings.to(self.centres.dtype))
        cosines = F.linear(directions, F.normalize(self.centres))
        loss = self._level_loss(cosines, labels, weights)
        for groups in self.levels:
            coarse = coarse_proxies(self.centres.detach(), groups)
            if len(coarse) > 1:
                level = self._level_loss(F.linear(directions, coarse), groups[labels], weights)
                loss = loss + self.level_weight * level
        return loss, cosines

    def _level_loss(self, cosines: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        if self.loss == "proxy_nca":
            return weighted_mean(proxy_nca(cosines, labels, self.scale), weights)
        return proxy_anchor(cosines, labels, weights, self.scale, self.margin)

    def _cluster(self) -> None:
        step = int(self.steps)
        if step and step % self.kmeans_steps == 0:
            self.levels[0] = kmeans_groups(self.centres, self.clusters, self.seed)
        self.steps += 1


class TwoHeads(nn.Module):
    """Two heads over one backbone: the classes of one do not compete with those of the other.

    The loss is that of the heads, each with the weight of its faces: Σ_h W_h ℓ_h / Σ_h W_h, where W_h is the sum of the
    weights of the faces of head h. For a mean over faces this is the weighted mean over all of them.

    Args:
        first: Of the labelled classes, which come first.
        second: Of the others.
    """

    def __init__(self, first: MarginHead | ProxyHead, second: MarginHead | ProxyHead, first_classes: int, classes: int):
        super().__init__()
        self.first, self.second = first, second
        self.first_classes, self.classes = first_classes, classes

    @property
    def centres(self) -> Tensor:
        """Those of both heads, [centres, embedding_size]."""
        return torch.cat([self.first.centres, self.second.centres])

    def forward(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and cosines without gradient, -∞ to classes of the other head; see `MarginHead.forward`."""
        cosines = weights.new_full((len(labels), self.classes), -torch.inf)
        values, shares = [], []
        is_first = labels < self.first_classes
        for head, chosen, start in ((self.first, is_first, 0), (self.second, ~is_first, self.first_classes)):
            rows = chosen.nonzero()[:, 0]
            if len(rows):
                value, angles = head(embeddings[rows], labels[rows] - start, weights[rows])
                values.append(value)
                shares.append(weights[rows].sum())
                cosines[rows, start : start + angles.shape[1]] = angles.detach()
        share = torch.stack(shares)
        return (torch.stack(values) * share).sum() / share.sum(), cosines


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """The mean of rows' losses, weighted: Σ w_i ℓ_i / Σ w_i.

    Args:
        losses: [n].
        weights: [n], > 0.
    """
    return (weights * losses).sum() / weights.sum()
