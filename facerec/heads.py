"""What training puts on a backbone: class centres, and a loss over the cosines to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facerec.artifacts import InputError
from facerec.dataset import TrainingSet
from facerec.margins import NormStatistics, adaface, combined, filtered, pooled
from facerec.partial_fc import INITIAL_DEVIATION, PartialHead
from facerec.proxies import coarse_proxies, kmeans_groups, proxy_anchor, proxy_nca, read_levels

PROXY_LOSSES = ("proxy_nca", "proxy_anchor")
SCALES = {
    "cosface": 32.0, "softmax": 32.0, "arcface": 32.0, "combined": 32.0, "adaface": 32.0,
    "proxy_nca": 18.0, "proxy_anchor": 32.0,
}  # fmt: skip
MARGINS = {
    "cosface": (0.2,), "softmax": (), "arcface": (0.5,), "combined": (1.0, 0.3, 0.2), "adaface": (0.4,),
    "proxy_nca": (), "proxy_anchor": (0.1,),
}  # fmt: skip
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


Head = MarginHead | ProxyHead | TwoHeads | PartialHead


@dataclass(frozen=True)
class Loss:
    """A loss with all its numbers, checked.

    Attributes:
        name: One of `SCALES`.
        scale: s, α or 2 / T.
        margins: None, one, or three of the combined margin.
        subcentres: Centres a class.
        hierarchy: The folder of a hierarchy, "kmeans", or None.
        hierarchy_weight: Of each of its levels.
        heads: 1, or 2: labelled and pseudo classes apart.
        threshold: Of `filtered`, or None.
        sample_rate: Of `PartialHead`, or None: every rank has all the centres.
    """

    name: str
    scale: float
    margins: tuple[float, ...]
    subcentres: int
    hierarchy: str | Path | None
    hierarchy_weight: float
    heads: int = 1
    threshold: float | None = None
    sample_rate: float | None = None

    def head(self, faces: TrainingSet, embedding_size: int, seed: int) -> Head:
        """A head for the classes of a training set.

        Raises:
            InputError: A hierarchy that cannot be used, see `read_levels`, too few classes for k-means, or two heads
                without two kinds of classes.
        """
        if self.heads == 2:
            first, second = faces.first_classes, faces.classes - faces.first_classes
            if min(first, second) < 2:
                raise InputError(f"--heads 2 for {first} labelled and {second} pseudo classes; each needs at least two")
            one, other = (self._one_head(count, embedding_size) for count in (first, second))
            return TwoHeads(one, other, first, faces.classes)
        if self.sample_rate is not None:
            return PartialHead(
                faces.classes, embedding_size, self.scale, self._combined(), self.subcentres, self.name == "adaface",
                self.sample_rate, seed, self.threshold,
            )  # fmt: skip
        levels = read_levels(self.hierarchy, faces) if isinstance(self.hierarchy, Path) else None
        clusters = round(math.sqrt(faces.classes)) if self.hierarchy == "kmeans" else 0
        if clusters == 1:
            raise InputError(f"--hierarchy kmeans with {faces.classes} classes; it needs at least 3")
        return self._one_head(faces.classes, embedding_size, levels, clusters, seed)

    def _one_head(
        self, classes: int, embedding_size: int, levels: Tensor | None = None, clusters: int = 0, seed: int = 0
    ) -> MarginHead | ProxyHead:
        if self.name not in PROXY_LOSSES:
            adaptive = self.name == "adaface"
            return MarginHead(
                classes, embedding_size, self.scale, self._combined(), self.subcentres, adaptive, self.threshold
            )
        return ProxyHead(
            classes, embedding_size, self.name, self.scale, sum(self.margins), levels=levels,
            level_weight=self.hierarchy_weight, clusters=clusters, seed=seed,
        )  # fmt: skip

    def _combined(self) -> tuple[float, float, float]:
        if self.name == "combined":
            factor, angle, difference = self.margins
            return factor, angle, difference
        margin = sum(self.margins)
        return (1.0, margin, 0.0) if self.name == "arcface" else (1.0, 0.0, margin)


def choose_loss(
    name: str = "cosface", scale: float | None = None, margin: float | Sequence[float] | None = None,
    subcentres: int = 1, hierarchy: str | Path | None = None, hierarchy_weight: float | None = None,
    heads: int = 1, interclass_filter: float | None = None, sample_rate: float | None = None,
) -> Loss:  # fmt: skip
    """A loss by its name, with its own defaults for numbers that are None.

    Raises:
        InputError: No such loss, a number out of range, or an option that the loss does not have.
    """
    if name not in SCALES:
        raise InputError(f"--loss {name}; choose one of {', '.join(SCALES)}")
    scale = SCALES[name] if scale is None else scale
    if not 0 < scale < math.inf:
        raise InputError(f"--scale {scale}; it must be positive")
    if subcentres < 1 or (subcentres > 1 and name in PROXY_LOSSES):
        raise InputError(f"--subcentres {subcentres} with --loss {name}; at least 1, and 1 for proxy losses")
    if hierarchy is not None and name not in PROXY_LOSSES:
        raise InputError(f"--hierarchy with --loss {name}; only {' and '.join(PROXY_LOSSES)} have one")
    if hierarchy_weight is not None and hierarchy is None:
        raise InputError("--hierarchy-weight without --hierarchy; give both or neither")
    if isinstance(hierarchy, str) and hierarchy != "kmeans":
        raise InputError(f"--hierarchy {hierarchy!r}; give the folder of a clustering, or kmeans")
    weight = HIERARCHY_WEIGHT if hierarchy_weight is None else hierarchy_weight
    if not 0 <= weight < math.inf:
        raise InputError(f"--hierarchy-weight {weight}; it must not be negative")
    _check_head(name, hierarchy, heads, interclass_filter, sample_rate)
    margins = _margins(name, margin)
    return Loss(name, scale, margins, subcentres, hierarchy, weight, heads, interclass_filter, sample_rate)


def _check_head(
    name: str, hierarchy: str | Path | None, heads: int, interclass_filter: float | None, sample_rate: float | None
) -> None:
    if heads not in (1, 2) or (heads == 2 and hierarchy is not None):
        raise InputError(f"--heads {heads}; 1, or without --hierarchy 2: labelled and pseudo classes apart")
    for option, value in (("--interclass-filter", interclass_filter), ("--sample-rate", sample_rate)):
        if value is not None and name in PROXY_LOSSES:
            raise InputError(f"{option} with --loss {name}; only margin losses have it")
        if value is not None and not 0 < value <= 1:
            raise InputError(f"{option} {value}; it is above 0 to 1")
    if sample_rate is not None and heads == 2:
        raise InputError("--sample-rate with --heads 2; Partial FC has one head")


def _margins(name: str, margin: float | Sequence[float] | None) -> tuple[float, ...]:
    default = MARGINS[name]
    if margin is None:
        return default
    given = (float(margin),) if isinstance(margin, int | float) else tuple(map(float, margin))
    if not default:
        raise InputError(f"--margin {margin} with --loss {name}; it has no margin")
    if len(given) != len(default):
        wanted = "three numbers, e.g. [1,0.3,0.2]" if name == "combined" else "one number"
        raise InputError(f"--margin {margin} with --loss {name}; it takes {wanted}")
    if name == "combined":
        return _three(given)
    most = math.pi / 2 if name == "arcface" else 1.0
    if not 0 <= given[0] <= most:
        raise InputError(f"--margin {margin} with --loss {name}; it is 0 to {most:.3g}")
    return given


def _three(margins: tuple[float, ...]) -> tuple[float, ...]:
    factor, angle, difference = margins
    if not (0 < factor <= 3 and 0 <= angle <= math.pi / 2 and 0 <= difference <= 1):
        raise InputError(f"--margin {list(margins)}; above 0 to 3, 0 to {math.pi / 2:.3g} and 0 to 1")
    if (math.pi - angle) / factor < math.pi / 3:
        raise InputError(f"--margin {list(margins)}; the first two are too large together for a loss that falls")
    return margins
