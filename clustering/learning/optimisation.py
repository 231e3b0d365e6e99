"""How every network of a backend is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facerec.pipeline.files import InputError
from facerec.pipeline.progress import progress


def optimise(
    model: nn.Module,
    losses: Sequence[Callable[[], Tensor]],
    epochs: int,
    learning_rate: float,
    random: np.random.Generator,
    name: str,
) -> None:
    """Minimises losses one after the other in random order, with AdamW and a cosine schedule.

    Args:
        model: Whose weights are trained.
        losses: A step each.
        epochs: Passes over all losses.
        learning_rate: The highest.
        random: Draws the order.
        name: What is trained, for the progress bar.

    Raises:
        InputError: Weights that are NaN or infinite, as the steps are too large.
    """
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(losses))
    model.train()
    for _ in progress(range(epochs), name, "epochs"):
        for number in random.permutation(len(losses)):
            optimizer.zero_grad()
            losses[number]().backward()
            optimizer.step()
            schedule.step()
        if not all(weights.isfinite().all() for weights in model.parameters()):
            raise InputError(f"{name}: the weights are no longer finite; lower learning_rate, now {learning_rate:g}")
    model.eval()
