"""A loss by its name, with its numbers checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from facerec.losses.heads import HIERARCHY_WEIGHT, PROXY_LOSSES, MarginHead, ProxyHead, TwoHeads
from facerec.losses.partial_fc import PartialHead
from facerec.pipeline.files import InputError
from facerec.training.coarse_classes import read_levels
from facerec.training.training_set import TrainingSet

SCALES = {
    "cosface": 32.0, "softmax": 32.0, "arcface": 32.0, "combined": 32.0, "adaface": 32.0,
    "proxy_nca": 18.0, "proxy_anchor": 32.0,
}  # fmt: skip
MARGINS = {
    "cosface": (0.2,), "softmax": (), "arcface": (0.5,), "combined": (1.0, 0.3, 0.2), "adaface": (0.4,),
    "proxy_nca": (), "proxy_anchor": (0.1,),
}  # fmt: skip


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
