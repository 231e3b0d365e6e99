"""A step against its formula, of a network without batch normalisation."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facerec.devices.device import autocast
from facerec.losses.heads import MarginHead
from facerec.losses.margins import MarginLoss
from facerec.training.step import Learner

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (6, 4, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.tensor([2, 0, 1, 1, 2, 0])
WEIGHTS = torch.tensor([1.0, 2, 3, 4, 5, 60])


def made():
    torch.manual_seed(0)
    network, head = nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), MarginHead(3, 5, MarginLoss(16.0, (1.0, 0.0, 0.2)))
    with torch.no_grad():
        head.centres *= 100
    return network, head


def changes(steps=1, **options):
    """How the weights of the network and the centres change at a learning rate of 1, and what the last step says."""
    network, head = made()
    optimizer = torch.optim.SGD([*network.parameters(), *head.parameters()], 1.0)
    learner = Learner(network, head, optimizer, CPU, autocast(CPU), **options)
    for _ in range(steps):
        before = [value.detach().clone() for value in (*network.parameters(), head.centres)]
        outcome = learner(IMAGES, LABELS, WEIGHTS)
    after = (*network.parameters(), head.centres)
    *own, centres = [(new - old).detach() for old, new in zip(before, after, strict=True)]
    return torch.cat([value.flatten() for value in own]), centres, outcome


@pytest.mark.parametrize("steps", [1, 2])
def test_a_step_goes_down_the_gradient_of_the_weighted_loss(steps):
    network, head = made()
    images = (IMAGES.permute(0, 3, 1, 2).float() - 127.5) / 127.5
    weights = [*network.parameters(), head.centres]
    for _ in range(steps):
        cosines = F.normalize(network(images)) @ F.normalize(head.centres).T
        losses = F.cross_entropy(16 * (cosines - 0.2 * F.one_hot(LABELS, 3)), LABELS, reduction="none")
        loss = (WEIGHTS * losses).sum() / 75
        *gradients, of_centres = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, (*gradients, of_centres), strict=True):
                weight -= gradient
    own, centres, outcome = changes(steps)
    torch.testing.assert_close(own, -torch.cat([gradient.flatten() for gradient in gradients]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(centres, -of_centres, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(outcome.loss, loss.detach())


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("steps", [1, 2])
def test_parts_of_a_batch_are_together_the_batch(parts, steps):
    """The last face has most of the weight, so that the parts must not count alike."""
    for found, expected in zip(changes(steps, parts=parts)[:2], changes(steps)[:2], strict=True):
        torch.testing.assert_close(found, expected)
    found, expected = changes(steps, parts=parts)[2], changes(steps)[2]
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.cosines, expected.cosines)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.nearest.tolist() == expected.nearest.tolist()


@pytest.mark.parametrize("parts", [1, 2])
def test_the_gradient_of_the_backbone_is_clipped(parts):
    free, centres, _ = changes()
    assert free.norm() > 0.2
    own, clipped_centres, _ = changes(parts=parts, clip=0.1)
    torch.testing.assert_close(own, 0.1 * free / free.norm(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(clipped_centres, centres)
    torch.testing.assert_close(changes(clip=1e3)[0], free)
