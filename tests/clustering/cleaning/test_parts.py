"""Parts of labels and figures of groups, by hand and against slow readings; shares of classes."""

import numpy as np
import pytest

from clustering.cleaning.classes import Classes
from clustering.cleaning.parts import GroupSums, two_parts
from clustering.cleaning.people import halves
from facerec.pipeline.embeddings import normalize


def test_figures_of_groups_by_hand():
    faces = np.array([[1, 0], [0.6, 0.8], [0, 1], [0.8, 0.6], [-1, 0]], np.float32)
    groups = GroupSums.of(faces, np.array([0, 0, 1, 1, 2]), np.ones(5, np.float32), 3)
    np.testing.assert_allclose(groups.within, [0.6, 0.6, np.nan], atol=1e-6)
    between, ratio, cosine, lower, sizes = groups.features(np.array([0]), np.array([1]))[0]
    mean = (0 + 0.8 + 0.8 + 0.96) / 4  # of the four pairs
    assert between == pytest.approx(mean, abs=1e-6)
    assert ratio == pytest.approx(mean / 0.6, abs=1e-6)
    assert cosine == pytest.approx(4 * mean / np.sqrt(3.2 * 3.2), abs=1e-6)
    assert (lower, sizes) == (pytest.approx(0.6), 1)


def test_weighted_mean_within_against_all_pairs():
    random = np.random.default_rng(0)
    faces, weights = normalize(random.normal(size=(6, 4))), random.random(6).astype(np.float32)
    found = GroupSums.of(faces, np.zeros(6, np.int64), weights, 1).within[0]
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    total = sum(weights[i] * weights[j] * (faces[i] @ faces[j]) for i, j in pairs)
    assert found == pytest.approx(total / sum(weights[i] * weights[j] for i, j in pairs), abs=1e-5)


def test_two_parts_are_the_two_people(blobs):
    embeddings, people = blobs(identities=8, faces=7, dimension=32, spread=0.7)
    order = np.random.default_rng(0).permutation(len(people))
    embeddings, people = embeddings[order], people[order]
    labels = people // 2
    labels[people == 7] = -1
    part = two_parts(embeddings, labels, np.ones(len(labels), np.float32))
    assert set(part[labels < 0]) == {-1}
    for label in range(3):
        first, second = (part[people == person] for person in (2 * label, 2 * label + 1))
        assert len(set(first)) == len(set(second)) == 1
        assert first[0] != second[0]


def test_a_face_alone_is_one_part():
    faces = np.eye(3, dtype=np.float32)
    assert set(two_parts(faces, np.array([0, 1, 2]), np.ones(3, np.float32))) <= {0, 1}


def test_halves_cut_every_label_of_several_faces():
    labels = np.array([0, 1, 1, 2, 2, 2, 2, -1])
    parts, cut = halves(labels, 0)
    assert cut.tolist() == [1, 2]
    assert parts[[0, 7]].tolist() == [-1, -1]
    assert set(parts[1:3]) == {2, 3}
    assert set(parts[3:7]) == {4, 5}


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_share_of_a_class_is_found(share):
    random = np.random.default_rng(0)
    judge = Classes.fit([random.normal(0, 1, (500, 1)), random.normal(3, 1, (500, 1))])
    rare = random.random(4000) < share
    posterior = judge.posterior(np.where(rare, random.normal(3, 1, 4000), random.normal(0, 1, 4000))[:, None])
    assert posterior[:, 1].mean() == pytest.approx(rare.mean(), abs=0.015)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)


def test_without_examples_all_is_of_the_first_class():
    judge = Classes.fit([np.ones((3, 1)), np.ones((0, 1))])
    assert judge.posterior(np.ones((2, 1))).tolist() == [[1, 0], [1, 0]]
