"""The heads of which every rank has all the centres: one for margin losses, one for proxy losses, and two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facerec.losses.head import Head, drawn_centres, weighted_mean
from facerec.losses.margins import MarginLoss, NormStatistics, filtered, pooled
from facerec.losses.proxies import coarse_proxies, kmeans_groups

HIERARCHY_WEIGHT = 0.1
KMEANS_STEPS = 200
ProxyLoss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of cosines, labels and weights a scalar


class MarginHead(Head):
    """Centres of classes and a cross-entropy over cosines to them, with a margin.

    Args:
        classes: Number of classes.
        embedding_size: Length of an embedding.
        loss: Of the logits.
    """

    def __init__(self, classes: int, embedding_size: int, loss: MarginLoss):
        super().__init__()
        self.centres = drawn_centres(classes * loss.subcentres, embedding_size)
        self.loss = loss
        self.statistics = NormStatistics() if loss.adaptive else None

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
        if self.loss.threshold is not None:
            logits = filtered(logits, cosines, labels, self.loss.threshold)
        return weighted_mean(F.cross_entropy(logits, labels, reduction="none"), weights), cosines

    def logits(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits with the margin and cosines without, both [n, classes]."""
        cosines = pooled(F.linear(F.normalize(embeddings), F.normalize(self.centres)), self.loss.subcentres)
        quality = None if self.statistics is None else self.statistics(embeddings.norm(dim=1))
        return self.loss.logits(cosines, labels, quality), cosines


@dataclass(frozen=True)
class Hierarchy:
    """Coarser classes over those of a `ProxyHead`.

    Attributes:
        levels: Int64 [levels, classes], the coarser classes of each level, consecutive from 0; None for none.
        weight: λ, of the loss of each level.
        clusters: If not 0, the only level comes from k-means of the proxies with so many clusters. It begins after
            `kmeans_steps` calls, when the proxies mean something, and is repeated after as many.
        kmeans_steps: T, times the parts of a batch, of which each is a call.
        seed: Seed of k-means.
    """

    levels: Tensor | None = None
    weight: float = HIERARCHY_WEIGHT
    clusters: int = 0
    kmeans_steps: int = KMEANS_STEPS
    seed: int = 0


FLAT = Hierarchy()


class ProxyHead(Head):
    """A proxy a class and a proxy loss, with coarser levels if there are any (Yang et al. 2022).

    The loss is that of the classes plus λ times that of each level of coarser classes. As there, coarse proxies are
    averages that have no gradient of their own; they are taken anew at each step.

    Args:
        classes: Number of classes.
        embedding_size: Length of an embedding.
        loss: See `facerec.losses.proxies`.
        hierarchy: The coarser classes.
    """

    def __init__(self, classes: int, embedding_size: int, loss: ProxyLoss, hierarchy: Hierarchy = FLAT):
        super().__init__()
        self.centres = drawn_centres(classes, embedding_size)
        self.loss, self.hierarchy = loss, hierarchy
        self.levels: Tensor
        self.steps: Tensor
        none = torch.zeros(1 if hierarchy.clusters else 0, classes, dtype=torch.int64)
        self.register_buffer("levels", none if hierarchy.levels is None else hierarchy.levels)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and cosines to the proxies of classes; see `MarginHead.forward`."""
        if self.training and self.hierarchy.clusters:
            self._cluster()
        directions = F.normalize(embeddings.to(self.centres.dtype))
        cosines = F.linear(directions, F.normalize(self.centres))
        loss = self.loss(cosines, labels, weights)
        for groups in self.levels:
            coarse = coarse_proxies(self.centres.detach(), groups)
            if len(coarse) > 1:
                level = self.loss(F.linear(directions, coarse), groups[labels], weights)
                loss = loss + self.hierarchy.weight * level
        return loss, cosines

    def _cluster(self) -> None:
        step = int(self.steps)
        if step and step % self.hierarchy.kmeans_steps == 0:
            self.levels[0] = kmeans_groups(self.centres, self.hierarchy.clusters, self.hierarchy.seed)
        self.steps += 1


class TwoHeads(Head):
    """Two heads over one backbone: the classes of one do not compete with those of the other.

    The loss is Σ_h W_h ℓ_h / Σ_h W_h, where ℓ_h is the loss of head h and W_h the sum of the weights of its faces. If
    ℓ_h are means over faces, this is the weighted mean over all faces.

    Args:
        first: Of the labelled classes, which come first.
        second: Of the others.
    """

    def __init__(self, first: Head, second: Head, first_classes: int, classes: int):
        super().__init__()
        self.first, self.second = first, second
        self.first_classes, self.classes = first_classes, classes

    @property
    def centres(self) -> Tensor:  # type: ignore[override]
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
