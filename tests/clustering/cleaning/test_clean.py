"""Label errors that were planted are found, one kind at a time and together; clean labels stay."""

from __future__ import annotations

import numpy as np
import pytest

from clustering.cleaning import clean as module
from clustering.cleaning.clean import clean
from clustering.cleaning.people import find_twins
from clustering.partition import consecutive
from facerec.pipeline.files import InputError


@pytest.fixture(scope="module")
def people(blobs):
    return blobs(identities=60, faces=10, dimension=32, spread=0.8, seed=1)


def test_clean_labels_stay(people):
    embeddings, labels = people
    found = clean(embeddings, 3 * labels)
    assert found.is_stray.mean() < 0.01
    assert len(found.mixed_labels) + found.joined.sum() <= 1
    assert found.confidence().mean() > 0.98


def test_strays(people):
    embeddings, truth = people
    labels = truth.copy()
    random = np.random.default_rng(0)
    strays = random.choice(len(labels), 120, replace=False)
    labels[strays] = (labels[strays] + random.integers(1, 60, 120)) % 60
    nobody = truth >= 57  # all of their faces are under other labels
    labels[nobody] = random.integers(0, 57, nobody.sum())
    planted = labels != truth
    found = clean(embeddings, labels)
    assert (found.is_stray & planted).sum() / planted.sum() > 0.9
    assert (found.is_stray & planted).sum() / found.is_stray.sum() > 0.9
    known = planted & found.is_stray & ~nobody & (found.strays.elsewhere > 0.5)
    assert np.mean(found.strays.other[known] == consecutive_name(found, truth)[known]) > 0.95
    cleaned, moved = found.labels(), found.labels(move=True)
    assert np.all(cleaned[found.is_stray] == -1)
    assert np.mean(moved[known] == truth[known]) > 0.95
    np.testing.assert_array_equal(cleaned[~found.is_stray], labels[~found.is_stray])


def consecutive_name(found, truth):
    """The number that each person's own label has in the result, -1 for people without one."""
    number = np.full(truth.max() + 1, -1)
    number[found.names] = np.arange(len(found.names))
    return number[truth]


def test_people_under_one_label(people):
    embeddings, truth = people
    labels = np.where(truth < 12, truth // 2 * 2, truth) + 100
    found = clean(embeddings, labels)
    assert found.names[found.mixed_labels].tolist() == [100, 102, 104, 106, 108, 110]
    cleaned = found.labels()
    assert cleaned[(truth < 12) & (cleaned >= 160)].tolist()
    for label in range(0, 12, 2):
        first, second = cleaned[truth == label], cleaned[truth == label + 1]
        assert not set(first[first >= 0]) & set(second[second >= 0])


def test_a_person_under_two_labels(people):
    embeddings, truth = people
    random = np.random.default_rng(0)
    labels = np.where((truth < 12) & (random.random(len(truth)) < 0.4), truth + 60, truth)
    found = clean(embeddings, labels)
    left, right = found.name_of(found.twins.left[found.joined]), found.name_of(found.twins.right[found.joined])
    pairs = {tuple(sorted(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    wanted = {(person, person + 60) for person in range(12)}
    assert len(pairs & wanted) >= 11
    assert len(pairs - wanted) <= 1
    assert np.mean(found.labels()[truth < 12] == truth[truth < 12]) > 0.85


def test_strays_of_the_first_pass_count_little_in_the_second(people, monkeypatch):
    embeddings, truth = people
    labels, seen = np.where(np.arange(600) % 10 == 0, (truth + 7) % 60, truth), []
    labels[5] = -1
    monkeypatch.setattr(module, "find_twins", lambda *given: seen.append(given[2]) or find_twins(*given))
    clean(embeddings, labels)
    first, second = seen
    assert np.all(first == 1)
    assert second[::10].max() < 0.2 < 0.8 < np.delete(second, [5, *range(0, 600, 10)]).mean()
    assert second[5] == 0


def test_unknown_and_unreadable_faces_have_no_label(people):
    embeddings, labels = people[0].copy(), people[1].copy()
    embeddings[:3], labels[5:9] = 0, -1
    found = clean(embeddings, labels)
    assert np.all(found.labels()[[0, 1, 2, 5, 6, 7, 8]] == -1)
    assert np.all(found.confidence()[[0, 1, 2, 5, 6, 7, 8]] == 0)


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 1, 1], [0, 0, 0, 1], list(range(6))])
def test_tiny_sets_are_left_as_they_are(labels):
    embeddings = np.eye(8, dtype=np.float32)[: len(labels)]
    found = clean(embeddings, np.array(labels))
    assert found.labels().shape == (len(labels),)


def test_real_faces_with_planted_strays(real):
    embeddings, truth = real("celeba299")
    truth = consecutive(truth)
    embeddings, truth = embeddings[truth < 50], truth[truth < 50]
    labels, random = truth.copy(), np.random.default_rng(0)
    strays = random.choice(len(labels), len(labels) // 5, replace=False)
    labels[strays] = (labels[strays] + random.integers(1, 50, len(strays))) % 50
    found, planted = clean(embeddings, labels).is_stray, labels != truth
    assert 2 * (found & planted).sum() / (found.sum() + planted.sum()) > 0.9


def test_labels_of_three_people_are_parted_twice(people):
    embeddings, truth = people
    parted = clean(embeddings, np.where(truth < 18, truth // 3 * 3, truth)).parted
    assert np.array_equal(consecutive(parted), truth)


def test_four_real_people_under_one_label_are_parted_twice(real):
    embeddings, identities = real("celeba299")
    truth = np.unique(identities, return_inverse=True)[1]
    embeddings, truth = embeddings[truth < 30], truth[truth < 30]
    parted = clean(embeddings, np.where(truth < 4, 0, truth)).parted
    assert len({np.bincount(parted[truth == person]).argmax() for person in range(4)}) == 4


def test_many_people_of_one_face_make_no_mixtures_of_the_others(people, blobs):
    alone, _ = blobs(identities=240, faces=1, dimension=32, spread=0.8, seed=2)
    embeddings, labels = np.concatenate([people[0], alone]), np.append(people[1], 60 + np.arange(240))
    found = clean(embeddings, labels)
    assert len(found.mixed_labels) <= 1
    assert found.is_stray.sum() <= 6


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.eye(3), [0, 1], r"labels are int64 of shape \[2\] for 3 faces"),
        (np.eye(3), ["a", "b", "c"], "labels are <U1 of shape"),
        (np.eye(3) * np.nan, [0, 1, 2], "row 0 has NaN or infinite values"),
        (np.ones(3), [0, 1, 2], r"expected numbers \[n, d\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(X, y, message):
    with pytest.raises(InputError, match=message):
        clean(X, y)
