import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.losses.proxies import coarse_proxies, kmeans_groups, mean_proxy_nca, proxy_anchor, proxy_nca
from facerec.pipeline.files import InputError, write_lines
from facerec.training.coarse_classes import majority, read_levels
from facerec.training.training_set import TrainingSet


def slow_nca(cosines, labels, temperature):
    losses = []
    for values, label in zip(cosines.tolist(), labels.tolist(), strict=True):
        near = [math.exp(-(2 - 2 * value) / temperature) for value in values]
        losses.append(-math.log(near[label] / sum(value for j, value in enumerate(near) if j != label)))
    return torch.tensor(losses, dtype=cosines.dtype)


def slow_anchor(cosines, labels, weights, alpha, delta):
    rows, proxies = cosines.shape
    pull = push = 0.0
    for p in range(proxies):
        own = [i for i in range(rows) if labels[i] == p]
        others = [i for i in range(rows) if labels[i] != p]
        pull += math.log(1 + sum(float(weights[i]) * math.exp(-alpha * (float(cosines[i, p]) - delta)) for i in own))
        push += math.log(1 + sum(float(weights[i]) * math.exp(alpha * (float(cosines[i, p]) + delta)) for i in others))
    return pull / len(set(labels.tolist())) + push / proxies


def random_batch(rows=12, classes=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand(rows, classes, generator=generator, dtype=torch.float64) * 2 - 1
    weights = torch.rand(rows, generator=generator, dtype=torch.float64) + 0.1
    return cosines, torch.randint(classes, (rows,), generator=generator), weights


def test_proxy_nca_by_hand():
    """Three proxies, the true one at 0.5: log(e^0 + e^0.2) - 1 for s = 2, so T = 1."""
    loss = proxy_nca(torch.tensor([[0.5, 0.0, 0.1]]), torch.tensor([0]), scale=2)
    torch.testing.assert_close(loss, torch.tensor([math.log(1 + math.exp(0.2)) - 1]))


def test_proxy_anchor_by_hand():
    """Two faces of the first of two proxies, none of the second."""
    cosines = torch.tensor([[0.6, 0.2], [0.4, -0.2]])
    loss = proxy_anchor(cosines, torch.tensor([0, 0]), torch.tensor([1.0, 3.0]), scale=10, margin=0.1)
    pull = math.log(1 + math.exp(-5) + 3 * math.exp(-3))
    push = (0 + math.log(1 + math.exp(3) + 3 * math.exp(-1))) / 2
    assert float(loss) == pytest.approx(pull + push, abs=1e-6)


def test_losses_are_those_of_slow_loops():
    for seed in range(5):
        cosines, labels, weights = random_batch(seed=seed)
        torch.testing.assert_close(proxy_nca(cosines, labels, 18), slow_nca(cosines, labels, 1 / 9))
        loss = proxy_anchor(cosines, labels, weights, 32, 0.1)
        mean = float((weights * slow_nca(cosines, labels, 1 / 9)).sum() / weights.sum())
        assert float(mean_proxy_nca(cosines, labels, weights)) == pytest.approx(mean, rel=1e-9)
        assert float(loss) == pytest.approx(slow_anchor(cosines, labels, weights, 32, 0.1), rel=1e-9)


def test_proxy_nca_with_the_true_proxy_in_the_denominator_is_softmax():
    cosines, labels, _ = random_batch()
    expected = torch.nn.functional.cross_entropy(18 * cosines, labels, reduction="none")
    torch.testing.assert_close(torch.log1p(proxy_nca(cosines, labels, 18).exp()), expected)


def test_a_row_of_weight_two_is_two_rows_in_proxy_anchor():
    cosines, labels, _ = random_batch()
    twice = torch.cat([torch.arange(len(labels)), torch.tensor([3, 5])])
    weights = torch.ones(len(labels)).double()
    weights[[3, 5]] = 2
    loss = proxy_anchor(cosines[twice], labels[twice], torch.ones(len(twice)).double())
    assert float(proxy_anchor(cosines, labels, weights)) == pytest.approx(float(loss), rel=1e-12)


def test_gradients_are_finite_however_far_the_cosines():
    """In float32, with proxies without faces, one class only, and exponents that overflow by themselves."""
    for labels in ([1, 0], [0, 0]):
        cosines = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], requires_grad=True)
        target = torch.tensor(labels)
        for loss in (proxy_nca(cosines, target, 500).sum(), proxy_anchor(cosines, target, torch.ones(2), 500, 0.1)):
            (gradient,) = torch.autograd.grad(loss, cosines)
            assert bool(torch.isfinite(loss))
            assert bool(torch.isfinite(gradient).all())
            assert float(gradient.abs().sum()) > 0


def test_coarse_proxies_by_hand():
    """The mean direction of (1, 0) and (0, 1), whatever their lengths; a class by itself keeps its direction."""
    proxies = torch.tensor([[5.0, 0.0], [0.0, 0.1], [0.0, -3.0]])
    half = math.sqrt(0.5)
    expected = torch.tensor([[0.0, -1.0], [half, half]])
    torch.testing.assert_close(coarse_proxies(proxies, torch.tensor([1, 1, 0])), expected)


def test_kmeans_finds_groups_and_repeats_itself():
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(4, 16)
    truth = torch.arange(40) % 4
    proxies = (centres[truth] + 0.05 * torch.randn(40, 16, generator=generator)) * 0.01
    groups = kmeans_groups(proxies, 4, seed=0)
    assert groups.dtype == torch.int64
    assert len({(int(a), int(b)) for a, b in zip(truth, groups, strict=True)}) == len(groups.unique()) == 4
    assert torch.equal(groups, kmeans_groups(proxies, 4, seed=0))
    assert sorted(kmeans_groups(proxies[:3], 3, seed=0).tolist()) == [0, 1, 2]
    assert torch.equal(kmeans_groups(proxies, 4, seed=2**31 + 5), kmeans_groups(proxies, 4, seed=5))


def test_kmeans_depends_on_the_seed_and_not_on_lengths():
    generator = torch.Generator().manual_seed(0)
    proxies = torch.randn(40, 8, generator=generator)
    groups = kmeans_groups(proxies, 7, seed=0)
    assert torch.equal(groups, kmeans_groups(proxies * 2.0 ** (torch.arange(40) % 9)[:, None], 7, seed=0))
    assert not torch.equal(groups, kmeans_groups(proxies, 7, seed=1))
    cosines = torch.nn.functional.normalize(proxies) @ coarse_proxies(proxies, groups).T
    assert torch.equal(cosines.argmax(1), groups)  # the nearest mean direction


def test_majority_by_hand():
    """Class 0 is mostly in cluster 7, class 1 in none, class 2 ties between 3 and 7, class 3 is in 3."""
    labels = np.array([0, 0, 0, 1, 2, 2, 2, 3])
    clusters = np.array([7, 7, 3, -1, 7, 3, -1, 3])
    assert majority(labels, clusters).tolist() == [0, 1, 2, 2]
    assert majority(labels, np.full(8, -1)).tolist() == [0, 1, 2, 3]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 3)), min_size=1, max_size=30))
def test_majority_is_that_of_a_slow_count(faces):
    labels = np.unique([label for label, _ in faces], return_inverse=True)[1]
    clusters = np.array([cluster for _, cluster in faces])
    groups = majority(labels, clusters)
    chosen = []
    for label in range(labels.max() + 1):
        mine = [c for c in clusters[labels == label] if c >= 0]
        chosen.append(min(mine, key=lambda c: (-mine.count(c), c)) if mine else 10 + label)
    assert [[a == b for a in chosen] for b in chosen] == [[a == b for a in groups] for b in groups]
    assert list(dict.fromkeys(groups.tolist())) == list(range(groups.max() + 1))


def _levels(folder: Path, *levels: list[int]) -> Path:
    for number, labels in enumerate(levels):
        (folder / "levels" / f"{number:02d}").mkdir(parents=True)
        np.save(folder / "levels" / f"{number:02d}" / "labels.npy", np.array(labels))
    return folder


def _faces(lengths: list[int], store: list[int], row: list[int], label: list[int]) -> TrainingSet:
    """A training set; of its stores only their lengths matter here."""
    return TrainingSet(
        tuple(map(range, lengths)), np.array(store), np.array(row), np.array(label), np.ones(len(label), np.float32)
    )


class _Named(NamedTuple):
    """What counts of a store here."""

    path: Path
    keys: list[str]

    def __len__(self) -> int:
        return len(self.keys)


def test_levels_that_say_nothing_new_are_left_out(tmp_path):
    faces = _faces([6], [0] * 6, [0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 3])
    folder = _levels(
        tmp_path / "c",
        [0, 1, 2, 2, 3, 4], [0, 0, 0, 0, 1, 2], [5, 5, 5, 5, 0, 1], [0, 0, 0, 0, 1, 1], [3, 3, 3, 3, 2, 2], [0] * 6,
    )  # fmt: skip
    assert read_levels(folder, faces).tolist() == [[0, 0, 1, 2], [0, 0, 1, 1]]


def test_levels_of_two_stores_or_of_the_last_alone(tmp_path):
    faces = _faces([3, 4], [0, 0, 1, 1, 1], [0, 2, 0, 1, 3], [0, 1, 2, 3, 4])
    both = _levels(tmp_path / "both", [4, 9, 5, 4, 5, 9, 5])
    assert read_levels(both, faces).tolist() == [[0, 1, 0, 1, 1]]
    last = _levels(tmp_path / "last", [4, 5, 9, 5])
    assert read_levels(last, faces).tolist() == [[0, 1, 2, 3, 3]]


def test_levels_of_the_last_store_where_the_one_before_it_is_larger(tmp_path):
    faces = _faces([9, 4], [0, 0, 1, 1, 1], [0, 8, 0, 1, 3], [0, 1, 2, 3, 4])
    assert read_levels(_levels(tmp_path / "last", [4, 5, 9, 5]), faces).tolist() == [[0, 1, 2, 3, 3]]


def test_levels_of_the_faces_in_another_order_are_refused(tmp_path):
    faces = _faces([3, 4], [0, 0, 1, 1, 1], [0, 2, 0, 1, 3], [0, 1, 2, 3, 4])
    names = [[f"{store}/{row}.jpg" for row in range(length)] for store, length in enumerate((3, 4))]
    stores = tuple(_Named(Path(str(store)), keys) for store, keys in enumerate(names))
    faces = replace(faces, stores=stores)
    for folder, keys, levels in (
        ("both", names[0] + names[1], [4, 9, 5, 4, 5, 9, 5]),
        ("last", names[1], [4, 5, 9, 5]),
    ):
        _levels(tmp_path / folder, levels)
        write_lines(tmp_path / folder / "keys.txt", keys)
        assert len(read_levels(tmp_path / folder, faces)) == 1
        write_lines(tmp_path / folder / "keys.txt", keys[::-1])
        with pytest.raises(InputError, match="in row 0 there, but in row . of 1; both must have the same faces"):
            read_levels(tmp_path / folder, faces)


def test_bad_hierarchies_are_refused(tmp_path):
    faces = _faces([4], [0] * 4, [0, 1, 2, 3], [0, 1, 2, 2])
    cases = [
        (tmp_path, "no levels/<number>/labels.npy"),
        (_levels(tmp_path / "short", [0, 0, 1]), "3 labels for stores of 4 faces"),
        (_levels(tmp_path / "alike", [0, 0, 0, 0], [0, 1, 2, 2]), "none of 2 levels puts some of 3 classes together"),
        (_levels(tmp_path / "below", [0, 0, 1, -2]), "labels are -1"),
    ]
    for folder, text in cases:
        with pytest.raises(InputError, match=text):
            read_levels(folder, faces)
