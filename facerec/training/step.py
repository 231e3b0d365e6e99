"""One step of training, in parts and over ranks, and the learning rate of each."""

from __future__ import annotations

import contextlib
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from facerec.devices.batch_norm import synchronised
from facerec.devices.collectives import average_gradients, gathered
from facerec.devices.device import to_input
from facerec.losses.partial_fc import PartialHead
from facerec.pipeline.ranks import world_size

SCHEDULES = ("cosine", "poly")


@dataclass(frozen=True)
class Outcome:
    """What a step, or a part of one, gave.

    Attributes:
        loss: Of the batches of all ranks together, a scalar.
        labels: Int64 [n], the classes of the faces that the following is about.
        nearest: Int64 [n], the class whose centre is nearest to each.
        cosines: [n, classes], or None where they are never computed whole.
    """

    loss: Tensor
    labels: Tensor
    nearest: Tensor
    cosines: Tensor | None


class Learner:
    """Takes the steps of a training.

    Args:
        network: The backbone, on its device.
        head: A head of `facerec.losses.heads`; all but `PartialHead`, which gathers for itself, get the faces of all
            ranks.
        optimizer: Of the weights of both.
        place: The device.
        context: Of the backbone's forward pass.
        parts: The batch is worked on in so many parts, whose gradients are added up.
        clip: The largest length of the backbone's gradient, or None.
        share_statistics: Whether batch normalisations take means over the ranks.
        compiled: Whether the backbone is compiled, for training alone.
    """

    def __init__(
        self, network: nn.Module, head: nn.Module, optimizer: torch.optim.Optimizer, place: torch.device,
        context: torch.autocast, parts: int = 1, clip: float | None = None, share_statistics: bool = True,
        compiled: bool = False,
    ):  # fmt: skip
        self.head, self.optimizer = head, optimizer
        self.place, self.context, self.parts, self.clip = place, context, parts, clip
        if world_size() > 1 and share_statistics:
            network = synchronised(network, place)
        self.network: nn.Module = torch.compile(network) if compiled else network  # type: ignore[assignment]
        if world_size() > 1:
            self.network = DistributedDataParallel(self.network, [place] if place.type == "cuda" else None)

    def __call__(self, images: Tensor, labels: Tensor, weights: Tensor) -> Outcome:
        """Takes a step.

        Args:
            images: uint8 RGB [b, size, size, 3], this rank's.
            labels: Int64 [b].
            weights: [b], > 0.
        """
        labels, weights = labels.to(self.place), weights.to(self.place)
        self.optimizer.zero_grad()
        outcomes = []
        whole = gathered(weights).sum() if self.parts > 1 else None
        pieces = zip(images.chunk(self.parts), labels.chunk(self.parts), weights.chunk(self.parts), strict=True)
        for number, (some, their_labels, their_weights) in enumerate(pieces, 1):
            share = None if whole is None else gathered(their_weights).sum() / whole
            with self._unshared(number < self.parts):
                outcomes.append(self._part(some, their_labels, their_weights, share))
        if not isinstance(self.head, PartialHead):
            average_gradients(self.head)
        if self.clip is not None:
            clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        return outcomes[0] if self.parts == 1 else _together(outcomes)

    def _part(self, images: Tensor, labels: Tensor, weights: Tensor, share: Tensor | None) -> Outcome:
        with self.context:
            embeddings = self.network(to_input(images, self.place))
        if isinstance(self.head, PartialHead):
            value, nearest = self.head(embeddings, labels, weights)
            cosines = None
        else:
            labels = gathered(labels)
            value, cosines = self.head(gathered(embeddings), labels, gathered(weights))
            cosines = cosines.detach()
            nearest = cosines.argmax(1)
        value = value if share is None else share * value
        value.backward()
        return Outcome(value.detach(), labels, nearest, cosines)

    def _unshared(self, more: bool) -> AbstractContextManager[Any]:
        """While there are more parts to come, ranks keep their gradients to themselves."""
        if more and isinstance(self.network, DistributedDataParallel):
            return self.network.no_sync()
        return contextlib.nullcontext()


def _together(outcomes: list[Outcome]) -> Outcome:
    labels, nearest = (torch.cat([getattr(part, name) for part in outcomes]) for name in ("labels", "nearest"))
    cosines = [part.cosines for part in outcomes if part.cosines is not None]
    total = torch.stack([part.loss for part in outcomes]).sum()
    return Outcome(total, labels, nearest, torch.cat(cosines) if cosines else None)


def weight_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The optimiser's groups: weights that decay, and those of normalisations and activations, which do not."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def schedule_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """The learning rate of a step, as a share of the highest.

    Args:
        step: From 0.
        total: Number of steps.
        warmup: Share of the steps in which it rises.
        schedule: One of `SCHEDULES`.
    """
    rising = warmup * total
    if step + 1 < rising:
        return (step + 1) / rising
    done = (step - rising) / max(total - rising, 1)
    done = min(max(done, 0.0), 1.0)
    return (1 - done) ** 2 if schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))
