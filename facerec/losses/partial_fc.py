"""Partial FC: class centres sharded over ranks, of which a sample takes part in each step.

An et al. 2022, "Killing Two Birds with One Stone: Efficient and Robust Training of Face Recognition CNNs by Partial
FC". Each rank holds a contiguous range of the classes. The softmax is over all classes. Embeddings are gathered
and each rank computes the logits of its range. Then the largest logits and the sums of exponentials are reduced over
ranks. At rate 1 the loss and its gradients are those of `facerec.losses.heads.MarginHead`.

In training, under ``torchrun`` after `facerec.devices.collectives.setup`, or alone:

- `PartialHead` is called on every rank, in the same order, with batches of one size. It stays out of
  `DistributedDataParallel`, which wraps the backbone alone: its centres differ from rank to rank.
- The optimiser is `facerec.training.optimizer.RowAdamW`. Below rate 1, centres that are not sampled, and their moments,
  stay as they are; all else is AdamW. Their gradients are sparse then, so clip those of the backbone only.
- The head's state, and the optimiser's for its centres, are each rank's own. To go on with the same samples, keep the
  buffer ``steps``, which is in the state dict. `PartialHead.all_centres` gives all the centres, to save at the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from facerec.devices.collectives import gather_rows
from facerec.losses.head import INITIAL_DEVIATION, Head, Outcome, weighted_mean
from facerec.losses.margins import MarginLoss, NormStatistics, filtered, pooled
from facerec.pipeline.files import InputError
from facerec.pipeline.ranks import rank, world_size

DRAWN_ROWS = 65_536


class PartialHead(Head):
    """This rank's class centres and the margin softmax over a sample of those of all ranks.

    Attributes:
        centres: [own classes * subcentres, embedding_size]; begins as the rows of `MarginHead`'s that are this rank's.
        first: The first class of this rank.
        steps: Int64 scalar, calls in training so far.

    Args:
        classes: Number of classes in all.
        embedding_size: Length of an embedding.
        loss: Of the logits.
        rate: Share of each rank's classes that take part in a step, above 0 to 1; those of the batch always do.
        seed: With the step and the rank, of the sample.

    Raises:
        InputError: A rate out of range, or fewer classes than ranks.
    """

    sharded = True

    def __init__(self, classes: int, embedding_size: int, loss: MarginLoss, rate: float = 1.0, seed: int = 0):
        super().__init__()
        self.rank, self.ranks = rank(), world_size()
        if not 0 < rate <= 1:
            raise InputError(f"--sample-rate {rate}; it is above 0 to 1")
        if classes < self.ranks:
            raise InputError(f"{classes} classes over {self.ranks} ranks; each needs at least one")
        self.first, behind = (classes * rank // self.ranks for rank in (self.rank, self.rank + 1))
        self.own, self.rate, self.seed = behind - self.first, rate, seed
        self.loss, subcentres = loss, loss.subcentres
        self.centres = nn.Parameter(
            _drawn(classes * subcentres, embedding_size, self.first * subcentres, behind * subcentres)
        )
        self.statistics = NormStatistics() if loss.adaptive else None
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the nearest class of each face.

        As under `DistributedDataParallel`, where gradients are averaged over ranks, the gradient of this rank's
        embeddings is that of the loss times the number of ranks. That of the centres is the loss's own.

        Args:
            embeddings: [n, embedding_size], this rank's, not normalised; n is the same on all ranks.
            labels: Int64 [n], of all the classes.
            weights: [n], > 0.

        Returns:
            The weighted mean over the faces of all ranks, a scalar, the same on all of them. The class whose centre is
            nearest to each of this rank's faces, int64 [n], among the classes that any rank sampled.
        """
        n = len(labels)
        embeddings = gather_rows(embeddings.to(self.centres.dtype))
        if self.ranks > 1 and embeddings.requires_grad:
            embeddings.register_hook(lambda gradient: gradient * self.ranks)
        labels, weights = gather_rows(labels), gather_rows(weights)
        rows = self.sample(labels)
        centres = self.centres if rows is None else self._rows(rows)
        cosines = pooled(F.linear(F.normalize(embeddings), F.normalize(centres)), self.loss.subcentres)
        columns = self._columns(labels, rows)
        logits = self._logits(cosines, columns, embeddings)
        if self.loss.threshold is not None:
            logits = filtered(logits, cosines, columns, self.loss.threshold)
        value = weighted_mean(_CrossEntropy.apply(logits, columns), weights)
        return value, self._nearest(cosines.detach(), rows)[self.rank * n : (self.rank + 1) * n]

    def outcome(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> Outcome:
        """The loss of all faces, and what was nearest to this rank's; see `Head.outcome`."""
        loss, nearest = self(embeddings, labels, weights)
        return Outcome(loss, labels, nearest, None)

    def sample(self, labels: Tensor) -> Tensor | None:
        """The classes of this rank that take part in the step, and counts the step.

        Args:
            labels: Int64 [n], of the faces of all ranks.

        Returns:
            Int64 [c], ascending, from 0 for the rank's first class; None for all.
        """
        if not self.training or self.rate == 1:
            return None
        step = int(self.steps)
        self.steps += 1
        generator = np.random.default_rng((self.seed, step, self.rank))
        order = torch.from_numpy(generator.random(self.own, np.float32)).to(labels.device)
        local = labels[self._is_own(labels)] - self.first
        order[local] = 2
        count = max(math.ceil(self.rate * self.own), int((order == 2).sum()))
        return order.topk(count).indices.sort().values

    def all_centres(self) -> Tensor:
        """All the centres, [classes * subcentres, embedding_size] in memory, on rank 0; [0] on others. All call it."""
        if self.ranks == 1:
            return super().all_centres()
        counts = gather_rows(torch.tensor([len(self.centres)], device=self.centres.device)).tolist()
        shards = []
        for owner, count in enumerate(counts):
            own = owner == self.rank
            shard = self.centres.detach() if own else self.centres.new_empty(count, self.centres.shape[1])
            dist.broadcast(shard, owner)
            if self.rank == 0:
                shards.append(shard.cpu())
        return torch.cat(shards) if shards else torch.empty(0)

    def _rows(self, rows: Tensor) -> Tensor:
        """Centres of some classes, whose gradient is sparse."""
        subcentres = torch.arange(self.loss.subcentres, device=rows.device)
        indices = (rows[:, None] * self.loss.subcentres + subcentres).flatten()
        return F.embedding(indices, self.centres, sparse=True)

    def _is_own(self, labels: Tensor) -> Tensor:
        return (labels >= self.first) & (labels < self.first + self.own)

    def _columns(self, labels: Tensor, rows: Tensor | None) -> Tensor:
        """Int64 [n], where each face's class stands in this rank's cosines; -1 if it is another rank's."""
        columns = labels - self.first
        if rows is not None:
            columns = torch.searchsorted(rows, columns)
        return torch.where(self._is_own(labels), columns, -1)

    def _logits(self, cosines: Tensor, columns: Tensor, embeddings: Tensor) -> Tensor:
        """Logits [n, c], with the margin where a face's own class is among the columns."""
        quality = None if self.statistics is None else self.statistics(embeddings.detach().norm(dim=1))
        faces = (columns >= 0).nonzero()[:, 0]
        true, only = cosines[faces, columns[faces]][:, None], torch.zeros_like(faces)
        true = self.loss.logits(true, only, None if quality is None else quality[faces])
        return (self.loss.scale * cosines).index_put_((faces, columns[faces]), true[:, 0])

    def _nearest(self, cosines: Tensor, rows: Tensor | None) -> Tensor:
        """Int64 [n], the class of the largest cosine over all ranks."""
        highest, column = cosines.max(1)
        classes = self.first + (column if rows is None else rows[column])
        return _reduced(torch.where(highest == _reduced(highest.clone(), "MAX"), classes, -1), "MAX")


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropies [n] of logits [n, c] over the columns of all ranks; backward, softmax minus one at the column."""

    @staticmethod
    def forward(context: Any, logits: Tensor, columns: Tensor) -> Tensor:
        faces = (columns >= 0).nonzero()[:, 0]
        highest = _reduced(logits.amax(1), "MAX")
        shares = (logits - highest[:, None]).exp_()
        total = shares.sum(1)
        true = torch.zeros_like(highest)
        true[faces] = logits[faces, columns[faces]] - highest[faces]
        total, true = _reduced(total, "SUM"), _reduced(true, "SUM")
        context.save_for_backward(shares.div_(total[:, None]), columns, faces)
        return total.log() - true

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        shares, columns, faces = context.saved_tensors
        result = shares * gradient[:, None]
        result[faces, columns[faces]] -= gradient[faces]
        return result, None


def _reduced(values: Tensor, operation: str) -> Tensor:
    """Values reduced over ranks, in place."""
    if world_size() > 1:
        dist.all_reduce(values, getattr(dist.ReduceOp, operation))
    return values


def _drawn(rows: int, columns: int, first: int, behind: int) -> Tensor:
    """Rows `first` to `behind` of a matrix drawn from PyTorch's global generator, which goes on as if all were."""
    parts = []
    for start in range(0, rows, DRAWN_ROWS):
        block = torch.randn(min(DRAWN_ROWS, rows - start), columns)
        parts.append(block[max(first - start, 0) : max(behind - start, 0)])
    return torch.cat(parts) * INITIAL_DEVIATION
