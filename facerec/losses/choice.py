"""The losses by their names, and their options on the command line.

To add a loss, add a line to `LOSSES` and its name to the help text of `LossOptions`; nothing else knows the names. A
margin loss says how its margins become those of `facerec.losses.margins.combined`. A proxy loss says which function
takes cosines, labels and weights to a scalar.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from facerec.losses.head import Head
from facerec.losses.heads import HIERARCHY_WEIGHT, KMEANS_STEPS, Hierarchy, MarginHead, ProxyHead, TwoHeads
from facerec.losses.margins import MarginLoss
from facerec.losses.partial_fc import PartialHead
from facerec.losses.proxies import mean_proxy_nca, proxy_anchor
from facerec.pipeline.arguments import set_typed_fields
from facerec.pipeline.files import InputError


@dataclass(frozen=True)
class Kind:
    """What a loss is, with the defaults of its numbers.

    Attributes:
        scale: s, α or 2 / T.
        margins: None, one, or three of the combined margin.
        largest: The largest margin, where there is one.
        combined: For a margin loss: gives the m₁, m₂ and m₃ that its margins stand for.
        adaptive: Whether its margin follows the length of the embedding.
        proxy: For a proxy loss: the function of cosines, labels, weights, `scale` and perhaps `margin`.
    """

    scale: float
    margins: tuple[float, ...]
    largest: float = 1.0
    combined: Callable[..., tuple[float, float, float]] | None = None
    adaptive: bool = False
    proxy: Callable[..., Tensor] | None = None


LOSSES = {
    "cosface": Kind(32.0, (0.2,), combined=lambda margin: (1.0, 0.0, margin)),
    "softmax": Kind(32.0, (), combined=lambda: (1.0, 0.0, 0.0)),
    "arcface": Kind(32.0, (0.5,), math.pi / 2, combined=lambda margin: (1.0, margin, 0.0)),
    "combined": Kind(32.0, (1.0, 0.3, 0.2), combined=lambda *margins: margins),
    "adaface": Kind(32.0, (0.4,), combined=lambda margin: (1.0, 0.0, margin), adaptive=True),
    "proxy_nca": Kind(18.0, (), proxy=mean_proxy_nca),
    "proxy_anchor": Kind(32.0, (0.1,), proxy=proxy_anchor),
}


@dataclass(frozen=True)
class LossOptions:
    """A loss, its numbers, and the head that holds the class centres.

    Attributes:
        loss: cosface, softmax (no margin), arcface, combined, adaface, proxy_nca or proxy_anchor.
        scale: s of the margin losses, by default 32; 2 / temperature of proxy_nca, 18; alpha of proxy_anchor, 32.
        margin: By default 0.2 of cosface, in cosine; 0.5 of arcface, in radians; [1,0.3,0.2] of combined, which takes
            three; 0.4 of adaface; 0.1, delta, of proxy_anchor.
        subcentres: Centres of each class, of which the nearest counts; for margin losses.
        heads: 2 keeps labelled and pseudo classes apart, so that they do not compete; 1 is one label space.
        interclass_filter: Against wrong labels: other classes whose centre has a larger cosine than this to a face do
            not count against it, e.g. 0.4; for margin losses.
        sample_rate: Partial FC: centres are divided among the processes, and this share of them, above 0 to 1, takes
            part in a step; for margin losses and many classes.
        hierarchy: Coarser classes for a proxy loss: kmeans of the proxies every 200 steps, or a clustering with levels/
            of all the faces (labelled, then unlabelled), or of the unlabelled alone.
        hierarchy_weight: Weight of the loss of each level of the hierarchy, by default 0.1; the classes have 1.

    Raises:
        InputError: No such loss, a number out of range, or an option that the loss does not have.
    """

    loss: str = "cosface"
    scale: float | None = None
    margin: float | list[float] | None = None
    subcentres: int = 1
    heads: int = 1
    interclass_filter: float | None = None
    sample_rate: float | None = None
    hierarchy: Literal["kmeans"] | Path | None = None
    hierarchy_weight: float | None = None

    def __post_init__(self) -> None:
        set_typed_fields(self)
        if self.loss not in LOSSES:
            raise InputError(f"--loss {self.loss}; choose one of {', '.join(LOSSES)}")
        scale, _ = self.numbers
        if not 0 < scale < math.inf:
            raise InputError(f"--scale {scale}; it must be positive")
        if self.subcentres < 1 or (self.subcentres > 1 and self.kind.proxy):
            raise InputError(
                f"--subcentres {self.subcentres} with --loss {self.loss}; at least 1, and 1 for proxy losses"
            )
        self._check_hierarchy()
        self._check_head()

    @property
    def kind(self) -> Kind:
        """The loss by its name."""
        return LOSSES[self.loss]

    @property
    def numbers(self) -> tuple[float, tuple[float, ...]]:
        """The scale and the margins, the loss's own where none are given.

        Raises:
            InputError: Margins out of range, or not as many as the loss has.
        """
        return self.kind.scale if self.scale is None else self.scale, _margins(self.loss, self.margin)

    def _check_hierarchy(self) -> None:
        if self.hierarchy is not None and not self.kind.proxy:
            losses = " and ".join(name for name, kind in LOSSES.items() if kind.proxy)
            raise InputError(f"--hierarchy with --loss {self.loss}; only {losses} have one")
        if self.hierarchy_weight is not None and self.hierarchy is None:
            raise InputError("--hierarchy-weight without --hierarchy; give both or neither")
        if isinstance(self.hierarchy, str) and self.hierarchy != "kmeans":
            raise InputError(f"--hierarchy {self.hierarchy!r}; give the folder of a clustering, or kmeans")
        if self.hierarchy_weight is not None and not 0 <= self.hierarchy_weight < math.inf:
            raise InputError(f"--hierarchy-weight {self.hierarchy_weight}; it must not be negative")

    def _check_head(self) -> None:
        if self.heads not in (1, 2) or (self.heads == 2 and self.hierarchy is not None):
            raise InputError(f"--heads {self.heads}; 1, or without --hierarchy 2: labelled and pseudo classes apart")
        rates = (("--interclass-filter", self.interclass_filter), ("--sample-rate", self.sample_rate))
        for option, value in rates:
            if value is not None and self.kind.proxy:
                raise InputError(f"{option} with --loss {self.loss}; only margin losses have it")
            if value is not None and not 0 < value <= 1:
                raise InputError(f"{option} {value}; it is above 0 to 1")
        if self.sample_rate is not None and self.heads == 2:
            raise InputError("--sample-rate with --heads 2; Partial FC has one head")

    def head(
        self, classes: int, embedding_size: int, first_classes: int = 0, levels: Tensor | None = None, seed: int = 0,
        parts: int = 1,
    ) -> Head:  # fmt: skip
        """A head with fresh centres, drawn from PyTorch's global generator.

        Args:
            classes: Number of classes.
            embedding_size: Length of an embedding.
            first_classes: How many of them are labelled classes, which come first; for two heads.
            levels: Int64 [levels, classes], the coarser classes if `hierarchy` is a folder, see
                `facerec.training.coarse_classes.read_levels`.
            seed: Of Partial FC's samples and of k-means.
            parts: Calls of the head in a step of training.

        Raises:
            InputError: Too few classes for k-means, or two heads without two kinds of classes.
        """
        if self.heads == 2:
            counts = first_classes, classes - first_classes
            if min(counts) < 2:
                raise InputError(
                    f"--heads 2 for {counts[0]} labelled and {counts[1]} pseudo classes; each needs at least two"
                )
            one, other = (self._one_head(count, embedding_size, None, seed, parts) for count in counts)
            return TwoHeads(one, other, first_classes, classes)
        return self._one_head(classes, embedding_size, levels, seed, parts)

    def _one_head(self, classes: int, embedding_size: int, levels: Tensor | None, seed: int, parts: int) -> Head:
        scale, margins = self.numbers
        if self.kind.proxy:
            loss = functools.partial(self.kind.proxy, **dict(zip(("scale", "margin"), (scale, *margins), strict=False)))
            return ProxyHead(classes, embedding_size, loss, self._coarser(classes, levels, seed, parts))
        assert self.kind.combined
        chosen = MarginLoss(
            scale, self.kind.combined(*margins), self.kind.adaptive, self.subcentres, self.interclass_filter
        )
        if self.sample_rate is None:
            return MarginHead(classes, embedding_size, chosen)
        return PartialHead(classes, embedding_size, chosen, self.sample_rate, seed)

    def _coarser(self, classes: int, levels: Tensor | None, seed: int, parts: int) -> Hierarchy:
        clusters = round(math.sqrt(classes)) if self.hierarchy == "kmeans" else 0
        if clusters == 1:
            raise InputError(f"--hierarchy kmeans with {classes} classes; it needs at least 3")
        weight = HIERARCHY_WEIGHT if self.hierarchy_weight is None else self.hierarchy_weight
        return Hierarchy(levels, weight, clusters, KMEANS_STEPS * parts, seed)


def _margins(name: str, margin: float | Sequence[float] | None) -> tuple[float, ...]:
    default = LOSSES[name].margins
    if margin is None:
        return default
    given = (float(margin),) if isinstance(margin, int | float) else tuple(map(float, margin))
    if not default:
        raise InputError(f"--margin {margin} with --loss {name}; it has no margin")
    if len(given) != len(default):
        wanted = "three numbers, e.g. [1,0.3,0.2]" if len(default) == 3 else "one number"
        raise InputError(f"--margin {margin} with --loss {name}; it takes {wanted}")
    if len(given) == 3:
        return _three(given)
    largest = LOSSES[name].largest
    if not 0 <= given[0] <= largest:
        raise InputError(f"--margin {margin} with --loss {name}; it is 0 to {largest:.3g}")
    return given


def _three(margins: tuple[float, ...]) -> tuple[float, ...]:
    factor, angle, difference = margins
    if not (0 < factor <= 3 and 0 <= angle <= math.pi / 2 and 0 <= difference <= 1):
        raise InputError(f"--margin {list(margins)}; above 0 to 3, 0 to {math.pi / 2:.3g} and 0 to 1")
    if (math.pi - angle) / factor < math.pi / 3:
        raise InputError(f"--margin {list(margins)}; the first two are too large together for a loss that falls")
    return margins
