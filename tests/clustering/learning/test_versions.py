"""Invented identities: like real ones in mean, spread and lookalikes."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.graph.corpus_scale import CorpusScale
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.learning.versions import (
    LARGE,
    LARGE_IDENTITIES,
    crowd,
    expected_nearest_cosine,
    invent,
    nearest_cosine,
    new_faces_of,
    transplanted,
    versions,
)
from facerec.pipeline.embeddings import normalize


def test_likeness_by_hand():
    turns = np.array([0, 60, 180, 210, 0, 90, 180, 270]) * np.pi / 180
    centres = np.stack([np.cos(turns), np.sin(turns)], axis=1) * [[1], [2], [3], [4], [1], [1], [1], [1]]
    # Among the first four 0 and 60 degrees are nearest to each other, 180 and 210; the other four are at right angles.
    assert nearest_cosine(centres, 4) == pytest.approx((2 * 0.5 + 2 * np.sqrt(0.75) + 4 * 0) / 8, abs=1e-6)
    assert nearest_cosine(centres[:7], 4) == pytest.approx(
        (0.5 + np.sqrt(0.75)) / 2, abs=1e-6
    )  # a part group is left out


def test_likeness_of_more_is_foreseen():
    random = np.random.default_rng(0)
    spread = np.exp(-np.arange(64) / 20)
    centres = random.normal(size=(4000, 64)) * spread
    truth = nearest_cosine(centres, 4000)
    assert expected_nearest_cosine(centres[:300], 4000) == pytest.approx(truth, abs=0.04)
    assert nearest_cosine(centres[:300], 300) < truth - 0.08
    assert expected_nearest_cosine(centres[:4], 40) <= 1
    assert expected_nearest_cosine(centres[:1], 10) == -1


def test_likeness_of_everybody_in_lfw_is_foreseen(data):
    with np.load(data / "embeddings_lfw112_mobilefacenet128.npz") as archive:
        embeddings, names = archive["embeddings"], archive["labels"]
    _, first = np.unique(names, return_index=True)
    people = embeddings[np.random.default_rng(0).permutation(first)]
    assert expected_nearest_cosine(people[:400], len(people)) == pytest.approx(
        nearest_cosine(people, len(people)), abs=0.02
    )
    assert nearest_cosine(people, 400) < nearest_cosine(people, len(people)) - 0.07


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_invented_centres_have_as_many_lookalikes(spread):
    random = np.random.default_rng(1)
    types = random.normal(size=(40, 48))
    centres = types[random.integers(0, 40, 200)] + spread * random.normal(size=(200, 48))  # the less the more alike
    centres += 0.5
    invented = invent(centres, 2000, np.random.default_rng(2))
    assert invented.shape == (2000, 48)
    assert nearest_cosine(invented, 2000) == pytest.approx(expected_nearest_cosine(centres, 2000), abs=0.06)
    gaussian = random.multivariate_normal(centres.mean(axis=0), np.cov(centres.T), 2000)
    if spread == 1:
        assert nearest_cosine(invented, 2000) > nearest_cosine(gaussian, 2000) + 0.1
    np.testing.assert_allclose(invented.mean(axis=0), centres.mean(axis=0), atol=0.3)
    ratio = np.trace(np.cov(invented.T)) / np.trace(np.cov(centres.T))
    assert 0.9 < ratio < 1.1


def test_invented_centres_are_as_far_from_the_mean_as_real_ones():
    random = np.random.default_rng(0)
    centres = 3 + normalize(random.normal(size=(50, 16))) * np.array([[0.5], [1.0]]).repeat(25, axis=0)
    lengths = np.linalg.norm(invent(centres, 400, random) - centres.mean(axis=0), axis=1)
    assert 0.4 < lengths.min() < 0.6
    assert 0.9 < lengths.max() < 1.1


def test_a_crowd_by_dlib_is_not_taken_for_one_person(data):
    with np.load(data / "embeddings_celeba299_dlib128.npz", allow_pickle=False) as archive:
        faces = LabelledFaces(normalize(archive["embeddings"]), archive["labels"])
    real, invented = (
        CorpusScale.of(KnnGraph.build(each.embeddings, 1)) for each in (faces, crowd(faces, np.random.default_rng(0)))
    )
    assert not invented.alike
    assert invented.common == pytest.approx(real.common, abs=0.02)
    assert invented.spread < 1.5 * real.spread  # by centres of any length: twice


def test_one_centre_is_enough_to_invent():
    invented = invent(np.ones((1, 8)), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(normalize(invented), normalize(np.ones((10, 8))))


def nearest_stranger(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Mean over faces of the greatest cosine to another identity's face."""
    cosines = np.where(labels[:, None] == labels, -1, embeddings @ embeddings.T)
    return float(cosines.max(axis=1).mean())


def centres_of(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Float64 [n, d]: the mean of each face's identity."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    return (sums / np.bincount(labels)[:, None])[labels]


def test_transplanted_faces_keep_their_cosine_to_the_centre(blobs):
    faces, labels = blobs(identities=6, faces=8, dimension=32, spread=0.8)
    own, rows, owners = centres_of(faces, labels), np.arange(16), np.repeat([0, 1], 8)
    random = np.random.default_rng(0)
    centres = random.normal(size=(2, 32))
    found = transplanted(faces, own, rows, centres, owners, random)
    expected = (faces * normalize(own)).sum(axis=1)[rows]
    np.testing.assert_allclose((found * normalize(centres)[owners]).sum(axis=1), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found.dtype == np.float32


def test_transplanted_faces_of_one_real_identity_are_alike_only_within_an_identity(blobs):
    faces, labels = blobs(identities=40, faces=8, dimension=64, spread=1.5)
    centres = np.eye(64)[:10]
    rows, owners = np.tile(np.arange(8), 10), np.repeat(np.arange(10), 8)
    found = transplanted(faces, centres_of(faces, labels), rows, centres, owners, np.random.default_rng(1))
    own = found[:8] - (found[:8] @ centres[0])[:, None] * centres[0]
    real = faces[:8] - (faces[:8] @ normalize(centres_of(faces, labels)[:1]).T) * normalize(
        centres_of(faces, labels)[:1]
    )
    np.testing.assert_allclose(normalize(own) @ normalize(own).T, normalize(real) @ normalize(real).T, atol=0.15)
    shared = [found[i] @ found[i + 8] for i in range(72)]  # a face's residual in the next identity, too
    assert abs(np.mean(shared)) < 0.1
    assert np.mean(np.sum(own**2, axis=1)) > 0.5  # alike in residuals they would be at more than this


def test_a_face_alone_becomes_its_new_centre():
    faces, centres = normalize(np.eye(4)[:1]), np.array([[0.0, 2, 0, 0]])
    found = transplanted(faces, faces.astype(float), np.array([0]), centres, np.array([0]), np.random.default_rng(0))
    np.testing.assert_allclose(found, [[0, 1, 0, 0]], atol=1e-6)


def test_a_centre_of_opposite_faces_is_of_no_direction():
    faces = np.zeros((8, 4), np.float32)
    faces[:, 0] = np.tile([1, -1], 4)
    found = crowd(LabelledFaces(faces, np.arange(8) // 2), np.random.default_rng(0), alike=True)
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1)


def test_strangers_in_a_crowd_are_as_near_as_real_ones(blobs):
    everyone = blobs(identities=400, faces=8, dimension=64, spread=1.0)
    known = everyone[1] < 100
    found = crowd(LabelledFaces(everyone[0][known], everyone[1][known]), np.random.default_rng(0))
    few = found.labels < 400
    one_each = np.unique(found.labels[few], return_index=True)[1]
    truth = nearest_stranger(everyone[0][::8], everyone[1][::8])
    assert nearest_stranger(found.embeddings[one_each], found.labels[one_each]) == pytest.approx(truth, abs=0.06)


def test_strangers_made_of_a_hundred_people_are_as_near_as_the_real_ones(real):
    faces, names = real("celeba299")
    labels = np.unique(names, return_inverse=True)[1]
    known = labels < 100
    own = centres_of(faces[known], labels[known])
    sizes = np.bincount(labels[known])
    random = np.random.default_rng(0)
    invented = invent(own[np.unique(labels[known], return_index=True)[1]], 299, random)
    donors = random.integers(0, 100, 299)
    owners = np.repeat(np.arange(299), sizes[donors])
    order, starts = np.argsort(labels[known], kind="stable"), np.cumsum(sizes) - sizes
    rows = np.concatenate([order[starts[donor] : starts[donor] + sizes[donor]] for donor in donors])
    found = transplanted(faces[known], own, rows, invented, owners, random)
    assert nearest_stranger(found, owners) == pytest.approx(nearest_stranger(faces, labels), abs=0.03)


def test_a_crowd_to_learn_from_has_strangers_that_are_more_alike(blobs):
    faces = LabelledFaces(*blobs(identities=40, faces=8, dimension=64, spread=1.0)[:2])
    near = [nearest_stranger(*crowd(faces, np.random.default_rng(0), alike)) for alike in (False, True)]
    assert near[1] > near[0] + 0.03


def test_versions_are_what_they_say(blobs):
    """Of 30 people with 1 to 30 faces each."""
    embeddings, labels = blobs(identities=30, faces=30, dimension=64)
    kept = np.arange(30)[:, None] >= np.arange(30)
    faces = LabelledFaces(embeddings[kept.ravel()], labels[kept.ravel()])
    person = {row.tobytes(): label for row, label in zip(*faces, strict=True)}
    found = versions(faces, seed=0)
    numbers = {name: np.unique(part.labels, return_counts=True) for name, part in found.items()}
    assert found["whole"] is faces
    for name in ("small", "tail"):
        assert [person[row.tobytes()] for row in found[name].embeddings] == found[name].labels.tolist()
        assert numbers[name][0].tolist() == list(range(30))
    assert sorted(set(numbers["small"][1])) == [1, 2, 3]
    first = {faces.embeddings[faces.labels == label][0].tobytes() for label in range(30)}
    assert sum(row.tobytes() in first for row in found["small"].embeddings) < 30  # any of a person's faces
    assert (numbers["tail"][1] == np.arange(1, 31)).sum() < 15
    assert numbers["large"][0].tolist() == list(range(30 - LARGE_IDENTITIES, 30))  # those with most faces
    assert (numbers["large"][1].min(), numbers["large"][1].max()) == LARGE
    assert len(set(np.sign(np.diff(numbers["large"][1])))) == 2  # in whatever order
    assert len(numbers["crowd"][0]) == 300
    assert (numbers["crowd"][1] <= 2).mean() > 0.5
    assert numbers["crowd"][1].max() > 10
    assert len(found["mixed"].labels) == len(found["large"].labels) + len(found["crowd"].labels)
    assert len(numbers["mixed"][0]) == LARGE_IDENTITIES + 300
    assert len(np.unique(found["crowd"].embeddings, axis=0)) == len(found["crowd"].labels)
    assert len(np.unique(versions(faces, seed=0, alike=True)["crowd"].embeddings, axis=0)) > 500


def test_new_faces_have_two_residuals_of_their_own_person():
    """Two people at right angles, each with two residuals as long as the centres: one is taken, or both at an angle."""
    centres, residuals = np.eye(8)[:2], np.eye(8)[4:]
    labels = np.repeat([1, 0], 50)
    found = new_faces_of(centres, residuals, np.array([0, 0, 1, 1]), labels, np.random.default_rng(0))
    found /= found[np.arange(100), labels][:, None]
    one, other = found[:, 4:6], found[:, 6:]
    assert not one[:50].any()
    assert not other[50:].any()
    both = np.concatenate([other[:50], one[50:]])
    both = both[(both > 0).all(axis=1)]
    assert 30 < len(both) < 70
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, atol=1e-5)
    assert both[:, 0].std() > 0.2
