import math

import pytest
import torch

from facerec.margins import CosFaceHead, cosface


def test_cosface_takes_the_margin_from_the_true_class_and_scales():
    cosines = torch.tensor([[0.8, 0.1, -0.5], [0.2, 0.3, 0.4]])
    logits = cosface(cosines, torch.tensor([0, 2]), scale=10, margin=0.25)
    expected = torch.tensor([[5.5, 1.0, -5.0], [2.0, 3.0, 1.5]])
    torch.testing.assert_close(logits, expected)


def test_loss_of_two_classes_by_hand():
    logits = cosface(torch.tensor([[0.6, 0.1]]), torch.tensor([0]), scale=2, margin=0.35)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0]))
    assert float(loss) == pytest.approx(math.log(1 + math.exp(2 * 0.1 - 2 * (0.6 - 0.35))), abs=1e-6)


def test_head_gives_cosines_whatever_the_lengths():
    torch.manual_seed(0)
    head = CosFaceHead(3, 2, scale=4, margin=0.5)
    with torch.no_grad():
        head.centres.copy_(torch.tensor([[2.0, 0.0], [0.0, 5.0], [-3.0, 0.0]]))
    logits, cosines = head(torch.tensor([[3.0, 4.0]]), torch.tensor([1]))
    torch.testing.assert_close(cosines, torch.tensor([[0.6, 0.8, -0.6]]))
    torch.testing.assert_close(logits, torch.tensor([[2.4, 1.2, -2.4]]))


def test_head_has_a_gradient_for_centres_and_embeddings():
    torch.manual_seed(0)
    head = CosFaceHead(5, 8).double()
    embeddings = torch.randn(4, 8, requires_grad=True)
    head.float()(embeddings, torch.arange(4))[0].sum().backward()
    assert embeddings.grad.abs().sum() > 0
    assert head.centres.grad.abs().sum() > 0
