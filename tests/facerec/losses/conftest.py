import math

import pytest
import torch


@pytest.fixture(scope="session")
def slow_logits():
    """A function: s (cos(m₁ θ + m₂) - m₃) of the true class, s cos θ of others, one by one; for angles of up to π."""

    def logits(cosines, labels, scale, margins):
        factor, turn, difference = margins
        rows = []
        for values, label in zip(cosines, labels.tolist(), strict=True):
            angle = factor * torch.arccos(values[label].clamp(-1 + 1e-7, 1 - 1e-7)) + turn
            assert angle <= math.pi
            true = torch.cos(angle) - difference
            rows.append(torch.stack([true if j == label else value for j, value in enumerate(values)]))
        return scale * torch.stack(rows)

    return logits
