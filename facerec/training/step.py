"""One step of training, in parts and over ranks."""

from __future__ import annotations

import contextlib
import dataclasses
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from facerec.devices.batch_norm import synchronised
from facerec.devices.collectives import average_gradients, gather_rows
from facerec.devices.device import to_input
from facerec.losses.head import Head, Outcome
from facerec.pipeline.ranks import world_size


def trained_network(
    network: nn.Module, device: torch.device, share_statistics: bool = True, compiled: bool = False
) -> nn.Module:
    """The backbone as it is called in training; its weights stay those of `network`.

    Args:
        network: The backbone, on its device.
        device: This rank's.
        share_statistics: Whether batch normalisations take means over the ranks.
        compiled: Whether it is compiled.
    """
    if world_size() > 1 and share_statistics:
        network = synchronised(network, device)
    called: nn.Module = torch.compile(network) if compiled else network  # type: ignore[assignment]
    if world_size() > 1:
        called = DistributedDataParallel(called, [device] if device.type == "cuda" else None)
    return called


class Learner:
    """Takes the steps of a training.

    Args:
        network: The backbone, see `trained_network`.
        head: Its head, on the same device.
        optimizer: Of the weights of both.
        device: This rank's.
        context: Of the backbone's forward pass.
        parts: The batch is worked on in so many parts, whose gradients are added up.
        clip: The largest length of the backbone's gradient, or None.
    """

    def __init__(
        self, network: nn.Module, head: Head, optimizer: torch.optim.Optimizer, device: torch.device,
        context: torch.autocast, parts: int = 1, clip: float | None = None,
    ):  # fmt: skip
        self.network, self.head, self.optimizer = network, head, optimizer
        self.device, self.context, self.parts, self.clip = device, context, parts, clip

    def __call__(self, images: Tensor, labels: Tensor, weights: Tensor) -> Outcome:
        """Takes a step.

        Args:
            images: uint8 RGB [b, size, size, 3], this rank's.
            labels: Int64 [b].
            weights: [b], > 0.
        """
        labels, weights = labels.to(self.device), weights.to(self.device)
        self.optimizer.zero_grad()
        outcomes = []
        whole = gather_rows(weights).sum() if self.parts > 1 else None
        pieces = zip(images.chunk(self.parts), labels.chunk(self.parts), weights.chunk(self.parts), strict=True)
        for number, (some, their_labels, their_weights) in enumerate(pieces, 1):
            share = None if whole is None else gather_rows(their_weights).sum() / whole
            with self._unshared(number < self.parts):
                outcomes.append(self._part(some, their_labels, their_weights, share))
        if not self.head.sharded:
            average_gradients(self.head)
        if self.clip is not None:
            clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        return outcomes[0] if self.parts == 1 else _together(outcomes)

    def _part(self, images: Tensor, labels: Tensor, weights: Tensor, share: Tensor | None) -> Outcome:
        with self.context:
            embeddings = self.network(to_input(images, self.device))
        outcome = self.head.outcome(embeddings, labels, weights)
        loss = outcome.loss if share is None else share * outcome.loss
        loss.backward()
        return dataclasses.replace(outcome, loss=loss.detach())

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
