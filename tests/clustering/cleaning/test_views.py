"""What a classifier of label errors sees, against slow readings and by hand."""

import numpy as np

from clustering.cleaning.people import _in_groups, _pairs
from clustering.cleaning.strays import _Views
from facerec.pipeline.embeddings import normalize


def test_features_of_faces_are_those_of_slow_loops():
    """Five labels of one to four faces and a face without a label; each face also under a label that is drawn."""
    random = np.random.default_rng(3)
    labels = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3, -1, 4, 4])
    faces, weights = normalize(random.normal(size=(13, 5)).astype(np.float32)), random.random(13).astype(np.float32)
    rows = np.flatnonzero(labels >= 0)
    drawn = labels[random.permutation(rows)]
    found = _Views.of(faces, labels, weights, rows, drawn)

    def cosine(row: int, label: int, without: bool) -> tuple[float, float]:
        """With the mean of a label's faces, and 1 / (1 + their weight)."""
        others = [other for other in np.flatnonzero(labels == label) if not (without and other == row)]
        total = (weights[others, None] * faces[others]).sum(axis=0)
        length = np.linalg.norm(total)
        return float(faces[row] @ total / length) if length else 0.0, 1 / (1 + weights[others].sum())

    for place, (row, one) in enumerate(zip(rows.tolist(), drawn.tolist(), strict=True)):
        label = int(labels[row])
        others = {other: cosine(row, other, False)[0] for other in range(5) if other != label}
        nearest = max(others, key=lambda other: others[other])
        without = max(value for other, value in others.items() if other != one)
        (own, rest), (here, there) = cosine(row, label, True), cosine(row, one, False)
        np.testing.assert_allclose(found.own[place], [own, others[nearest], rest], atol=1e-5)
        np.testing.assert_allclose(found.nobody[place], [here, without, there], atol=1e-5)
        np.testing.assert_allclose(found.elsewhere[place], [here, max(own, without), there], atol=1e-5)
        assert found.other[place] == nearest
        assert found.several[place] == (np.count_nonzero(labels == label) > 1)
        assert found.usable[place] == (one != label)


def test_pairs_of_labels_have_the_rank_of_the_nearer_side():
    """Centres at 0, 10, 30 and 90 degrees. To 1, 0 is nearer than 2, but to 2 nothing is nearer than 1."""
    angles = np.radians([0, 10, 30, 90])
    left, right, rank = _pairs(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    assert list(zip(left.tolist(), right.tolist(), rank.tolist(), strict=True)) == [
        (0, 1, 0), (0, 2, 1), (0, 3, 2), (1, 2, 0), (1, 3, 1), (2, 3, 0),
    ]  # fmt: skip


def test_labels_are_put_together_in_their_order_and_the_rest_is_left_out():
    assert _in_groups(np.array([4, 0, 3, 1, 2]), 2).tolist() == [0, 1, -1, 1, 0]
