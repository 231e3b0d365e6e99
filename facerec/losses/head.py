"""What training asks of every head: a loss with what to show of it, and the class centres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facerec.devices.collectives import gather_rows

INITIAL_DEVIATION = 0.01  # of the centres


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


class Head(nn.Module):
    """Class centres with a loss over the cosines to them. Here every rank has all the centres.

    A head whose ranks have different centres overrides the three members below, see `PartialHead`.

    Attributes:
        sharded: Whether each rank has centres of its own. If so, each saves its state, and gradients are not averaged.
        centres: This rank's centres, [centres, embedding_size].
    """

    sharded = False
    centres: Tensor

    def outcome(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> Outcome:
        """The loss of the faces of all ranks, which can be differentiated.

        Args:
            embeddings: [n, embedding_size], this rank's, not normalised; n is the same on all ranks.
            labels: Int64 [n].
            weights: [n], > 0.
        """
        labels = gather_rows(labels)
        loss, cosines = self(gather_rows(embeddings), labels, gather_rows(weights))
        cosines = cosines.detach()
        return Outcome(loss, labels, cosines.argmax(1), cosines)

    def all_centres(self) -> Tensor:
        """The centres of all ranks in memory, where rank 0 writes them; all ranks call it."""
        return self.centres.detach().cpu().contiguous()


def drawn_centres(rows: int, columns: int) -> nn.Parameter:
    """Centres [rows, columns] from PyTorch's global generator."""
    return nn.Parameter(torch.randn(rows, columns) * INITIAL_DEVIATION)


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """The mean of rows' losses, weighted: Σ w_i ℓ_i / Σ w_i.

    Args:
        losses: [n].
        weights: [n], > 0.
    """
    return (weights * losses).sum() / weights.sum()
