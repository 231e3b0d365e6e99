import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.losses.margins import MarginLoss, NormStatistics, adaface, combined, filtered, pooled, turned

SOFTMAX = (1.0, 0.0, 0.0)


def cosface(margin):
    return 1.0, 0.0, margin


def arcface(margin):
    return 1.0, margin, 0.0


def slow_logits(cosines, labels, scale, change):
    """Each logit by itself; `change` takes the angle of the true class and its row to the cosine with the margin."""
    rows = []
    for row, (values, label) in enumerate(zip(cosines.tolist(), labels.tolist(), strict=True)):
        logits = [scale * value for value in values]
        logits[label] = scale * change(math.acos(values[label]), row)
        rows.append(logits)
    return torch.tensor(rows, dtype=cosines.dtype)


def slow_arc(angle, margin):
    if angle + margin <= math.pi:
        return math.cos(angle + margin)
    return math.cos(angle) - margin * math.sin(margin)


def random_cosines(rows=40, classes=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand(rows, classes, generator=generator, dtype=torch.float64) * 1.998 - 0.999
    return cosines, torch.randint(classes, (rows,), generator=generator)


def test_cosface_takes_the_margin_from_the_true_class_and_scales():
    cosines = torch.tensor([[0.8, 0.1, -0.5], [0.2, 0.3, 0.4]])
    logits = combined(cosines, torch.tensor([0, 2]), 10, cosface(0.25))
    expected = torch.tensor([[5.5, 1.0, -5.0], [2.0, 3.0, 1.5]])
    torch.testing.assert_close(logits, expected)


def test_loss_of_two_classes_by_hand():
    logits = combined(torch.tensor([[0.6, 0.1]]), torch.tensor([0]), 2, cosface(0.35))
    loss = F.cross_entropy(logits, torch.tensor([0]))
    assert float(loss) == pytest.approx(math.log(1 + math.exp(2 * 0.1 - 2 * (0.6 - 0.35))), abs=1e-6)


def test_cosface_is_bit_identical_to_subtracting_a_one_hot_margin():
    cosines, labels = random_cosines()
    cosines = cosines.float().requires_grad_()
    logits = combined(cosines, labels, 32.0, cosface(0.2))
    plain = cosines.detach().requires_grad_()
    expected = 32.0 * (plain - 0.2 * F.one_hot(labels, 7))
    assert torch.equal(logits, expected)
    for value in (logits, expected):
        F.cross_entropy(value, labels).backward()
    assert torch.equal(cosines.grad, plain.grad)


def test_arcface_by_hand():
    """60° and a margin of 30° make 90°, 1° makes 31°; 150° and 60° are beyond 180°, and it is cos θ - m sin m there."""
    logits = combined(torch.tensor([[0.5, 0.25]]), torch.tensor([0]), 8, arcface(math.pi / 6))
    torch.testing.assert_close(logits, torch.tensor([[0.0, 2.0]]), atol=1e-5, rtol=0)
    logits = combined(torch.tensor([[math.cos(math.pi / 180), 0.0]]), torch.tensor([0]), 1, arcface(math.pi / 6))
    assert float(logits[0, 0]) == pytest.approx(math.cos(31 * math.pi / 180), abs=1e-5)
    root = math.sqrt(3) / 2
    logits = combined(torch.tensor([[0.25, -root]]), torch.tensor([1]), 8, arcface(math.pi / 3))
    torch.testing.assert_close(logits, torch.tensor([[2.0, 8 * (-root - math.pi / 3 * root)]]))


def test_combined_by_hand():
    """30° doubled and 30° more make 90°, less 0.2; 30° doubled alone make 60°."""
    logits = combined(torch.tensor([[math.sqrt(3) / 2, 0.1]]), torch.tensor([0]), 10, (2.0, math.pi / 6, 0.2))
    torch.testing.assert_close(logits, torch.tensor([[-2.0, 1.0]]), atol=1e-5, rtol=0)
    logits = combined(torch.tensor([[math.sqrt(3) / 2, 0.1]]), torch.tensor([0]), 10, (2.0, 0.0, 0.0))
    torch.testing.assert_close(logits, torch.tensor([[5.0, 1.0]]), atol=1e-5, rtol=0)


def test_adaface_by_hand():
    """At 60° and m = π/12: quality -1 is ArcFace to 75°, 0 is CosFace, 1 is 45° less 2 m."""
    cosines = torch.tensor([[0.5, 0.1]]).expand(3, 2)
    m = math.pi / 12
    logits = adaface(cosines, torch.zeros(3, dtype=torch.int64), torch.tensor([-1.0, 0.0, 1.0]), 10, m)
    expected = [10 * math.cos(5 * m), 10 * (0.5 - m), 10 * (math.cos(3 * m) - 2 * m)]
    torch.testing.assert_close(logits[:, 0], torch.tensor(expected))
    assert logits[:, 1].tolist() == [1, 1, 1]


def test_logits_are_those_of_slow_loops():
    cosines, labels = random_cosines()
    quality = torch.linspace(-1, 1, len(labels), dtype=torch.float64)

    def ada(angle, row):
        q = float(quality[row])
        turn = max(angle - 0.4 * q, 0)
        return slow_arc(angle, -0.4 * q) - 0.4 * (q + 1) if turn > 0 else 1 - 0.4 * (q + 1)

    cases = [
        (combined(cosines, labels, 5, SOFTMAX), lambda angle, _: math.cos(angle)),
        (combined(cosines, labels, 5, cosface(0.3)), lambda angle, _: math.cos(angle) - 0.3),
        (combined(cosines, labels, 5, arcface(0.5)), lambda angle, _: slow_arc(angle, 0.5)),
        (combined(cosines, labels, 5, (1.0, 0.3, 0.2)), lambda angle, _: slow_arc(angle, 0.3) - 0.2),
        (adaface(cosines, labels, quality, 5, 0.4), ada),
    ]
    for logits, change in cases:
        torch.testing.assert_close(logits, slow_logits(cosines, labels, 5, change), atol=1e-6, rtol=0)


def test_special_cases_of_the_combined_margin():
    cosines, labels = random_cosines()
    none = combined(cosines, labels, 9, SOFTMAX)
    assert torch.equal(none, 9 * cosines)
    assert torch.equal(combined(cosines, labels, 9, cosface(0)), none)
    assert torch.equal(combined(cosines, labels, 9, arcface(0)), none)
    for margins in (cosface(0.3), arcface(0.3)):
        expected = combined(cosines, labels, 9, margins)
        assert torch.equal(MarginLoss(9, margins).logits(cosines, labels, None), expected)
        assert not torch.equal(expected, none)
    torch.testing.assert_close(adaface(cosines, labels, torch.rand(len(labels)).double(), 9, 0.0), none)


@settings(max_examples=40, deadline=None)
@given(factor=st.floats(0.5, 3), share=st.floats(0, 1), difference=st.floats(0, 1))
def test_the_margin_falls_with_the_angle_and_never_helps(factor, share, difference):
    angle = share * min(math.pi - factor * math.pi / 3, math.pi / 2)
    theta = torch.linspace(1e-3, math.pi - 1e-3, 999, dtype=torch.float64)
    value = turned(torch.cos(theta), factor, angle) - difference
    assert bool((value.diff() < 0).all())
    if factor >= 1:
        assert bool((value <= torch.cos(theta) + 1e-6).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "margins", [(1.0, 0.0, 0.3), (1.0, 0.5, 0.0), (1.0, 0.3, 0.2), (0.9, 0.4, 0.15), (3.0, 0.0, 0)]
)
def test_gradients_are_finite_at_cosines_of_one_and_beyond(dtype, margins):
    edge = [1.0, -1.0, 1 + 2e-7, -1 - 2e-7, 1 - 1e-7, 0.0]
    cosines = torch.tensor([[value, 0.5] for value in edge], dtype=dtype, requires_grad=True)
    labels = torch.zeros(len(edge), dtype=torch.int64)
    turns = -0.4 * torch.linspace(-1, 1, len(edge), dtype=dtype)[:, None]
    for chosen in (margins, (1.0, turns, 0.4 - turns)):
        logits = combined(cosines, labels, 64, chosen)
        assert bool(torch.isfinite(logits).all())
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), cosines)
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient[5, 0]) < 0


def test_pooled_cosines_are_the_nearest_of_each_class():
    cosines = torch.tensor([[0.1, 0.9, -0.3, -0.2, 0.5, 0.4]])
    torch.testing.assert_close(pooled(cosines, 2), torch.tensor([[0.9, -0.2, 0.5]]))
    torch.testing.assert_close(pooled(cosines, 3), torch.tensor([[0.9, 0.5]]))
    assert pooled(cosines, 1) is cosines


def test_filtered_logits_by_hand():
    cosines = torch.tensor([[0.5, 0.45, 0.4], [0.9, 0.1, 0.41]])
    logits = filtered(2 * cosines, cosines, torch.tensor([0, 1]), 0.4)
    inf = -math.inf
    assert torch.equal(logits, torch.tensor([[1.0, inf, 0.8], [inf, 0.2, inf]]))
    losses = F.cross_entropy(logits, torch.tensor([0, 1]), reduction="none")
    torch.testing.assert_close(losses, torch.tensor([math.log(1 + math.exp(-0.2)), 0.0]))


def test_quality_by_hand():
    """Lengths 1, 2, 3: mean 2, deviation 1; 0.333 deviations of quality each, clipped at 1."""
    statistics = NormStatistics()
    torch.testing.assert_close(statistics(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([-0.333, 0, 0.333]) / 1.001)
    statistics.eval()
    assert statistics(torch.tensor([50.0, -50.0])).tolist() == [1, -1]
    assert float(statistics.mean) == 2


def test_running_statistics_are_means_first_and_fade_later():
    statistics = NormStatistics(t_alpha=0.25)
    means, deviations = [], []
    for batch in torch.rand(9, 6, generator=torch.Generator().manual_seed(1)) * 9:
        statistics(batch)
        means.append(float(batch.mean()))
        deviations.append(float(batch.std()))
        if len(means) <= 4:
            mean, deviation = sum(means) / len(means), sum(deviations) / len(means)
        else:
            mean, deviation = 0.75 * mean + 0.25 * means[-1], 0.75 * deviation + 0.25 * deviations[-1]
        assert float(statistics.mean) == pytest.approx(mean, rel=1e-5)
        assert float(statistics.deviation) == pytest.approx(deviation, rel=1e-5)


def test_adaface_of_equal_lengths_is_cosface():
    cosines, labels = random_cosines()
    quality = NormStatistics()(torch.full((len(labels),), 7.5)).double()
    assert quality.tolist() == [0] * len(labels)
    torch.testing.assert_close(
        adaface(cosines, labels, quality, 20, 0.4), combined(cosines, labels, 20, cosface(0.4)), atol=1e-5, rtol=0
    )
