"""AdamW, the weights that it decays, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SCHEDULES = ("cosine", "poly")


class RowAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019); where a gradient is sparse, rows without one stay as they are."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes a step; sparse gradients first, as AdamW's of the rows that they have."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.grad.is_sparse:
                    self._step_rows(weight, group)
                    weight.grad = None
        return super().step(closure)

    def _step_rows(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient = weight.grad.coalesce()  # type: ignore[union-attr]
        rows, state = gradient.indices()[0], self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        step, (beta1, beta2) = float(state["step"]), group["betas"]
        mean = state["exp_avg"][rows].lerp_(gradient.values(), 1 - beta1)
        square = state["exp_avg_sq"][rows].mul_(beta2).addcmul_(gradient.values(), gradient.values(), value=1 - beta2)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        deviation = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        chosen = weight[rows].mul_(1 - group["lr"] * group["weight_decay"])
        weight[rows] = chosen.addcdiv_(mean, deviation, value=-group["lr"] / (1 - beta1**step))


def weight_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The optimiser's groups: weights that decay, and biases, normalisations and activations, which do not."""
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
    done = max((step - rising) / (total - rising), 0.0)
    return (1 - done) ** 2 if schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))
