import numpy as np
import pytest

from eval.metrics import verification
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError
from facerec.recognisers.whitening import FMRS, LEAST_PEOPLE, Whitening, _fnmr, fit_whitening


def photographs(people=40, each=6, wide=2.0, seed=0):
    """Of people who differ alike in 8 directions, and whose photographs differ most in the first."""
    random = np.random.default_rng(seed)
    spread = np.array([wide] + [0.2] * 7)
    rows = np.repeat(random.normal(size=(people, 8)), each, axis=0) + spread * random.normal(size=(people * each, 8))
    return normalize(rows), np.repeat(np.arange(people), each)


def test_the_direction_in_which_photographs_differ_counts_less():
    embeddings, labels = photographs()
    found = fit_whitening(embeddings, labels)
    assert found.helps
    assert found.after < found.before / 2
    white = found(embeddings)
    np.testing.assert_allclose(np.linalg.norm(white, axis=1), 1, atol=1e-6)
    assert white[:, 0].var() < white[:, 1:].var(axis=0).min() < embeddings[:, 0].var()


def test_matrix_is_the_inverse_root_of_the_covariance_within_people():
    embeddings, labels = photographs(people=200, each=20)
    means = np.stack([embeddings[labels == person].mean(axis=0) for person in range(200)])
    within = np.cov((embeddings - means[labels]).T, bias=True)
    matrix = fit_whitening(embeddings, labels).matrix
    np.testing.assert_allclose(matrix @ within @ matrix, np.eye(8), atol=0.05)  # but for the shrinkage


def test_people_are_shown_as_others_are():
    embeddings, labels = photographs(people=30, each=2)
    found = fit_whitening(embeddings, labels)
    white, shown = found(embeddings), found.held_out(embeddings, np.arange(60))
    alike = [np.sum(rows[::2] * rows[1::2], axis=1).mean() for rows in (white, shown)]
    assert alike[1] < alike[0] - 0.003  # a map that has seen a person makes its photographs too alike
    assert found.after == _fnmr(shown, labels) > _fnmr(white, labels)
    without = labels != 3
    np.testing.assert_allclose(
        shown[labels == 3], fit_whitening(embeddings[without], labels[without])(embeddings[labels == 3]), atol=0.1
    )


def test_every_tenth_of_the_people_is_shown_by_the_map_of_the_others():
    embeddings, labels = photographs(people=30, each=2)
    found = fit_whitening(embeddings, labels)
    assert np.bincount(found.fold).tolist() == [6] * 10
    assert not np.array_equal(fit_whitening(embeddings, labels, seed=1).fold, found.fold)
    for number, matrix in enumerate(found.of_others):
        rows = np.flatnonzero(found.fold == number)
        np.testing.assert_array_equal(found.held_out(embeddings, rows), normalize(embeddings[rows] @ matrix))
        assert not np.array_equal(matrix, found.matrix)


def test_people_whose_photographs_differ_alike_in_all_directions_gain_nothing():
    embeddings, labels = photographs(wide=0.2)
    found = fit_whitening(embeddings, labels)
    assert abs(found.after - found.before) < 0.02


def test_unknown_and_unreadable_faces_and_people_of_one_face_do_not_count():
    embeddings, labels = photographs()
    more = np.concatenate([embeddings, np.zeros((3, 8), np.float32), embeddings[:5], embeddings[7:9]])
    names = np.concatenate([labels, [0, 1, 2], [-1] * 5, [900, 901]])
    one, other = fit_whitening(embeddings, labels), fit_whitening(more, names)
    np.testing.assert_allclose(one.matrix, other.matrix)
    assert (one.before, one.after) == (other.before, other.after)
    assert not other(more[240:243]).any()
    np.testing.assert_array_equal(other.held_out(more, np.arange(240, 250)), other(more[240:]))  # not of a tenth


def test_the_order_of_faces_and_the_numbers_of_people_do_not_matter():
    embeddings, labels = photographs()
    order = np.random.default_rng(1).permutation(len(labels))
    found = fit_whitening(embeddings[order], labels[order] * 3 + 5)
    np.testing.assert_allclose(found.matrix, fit_whitening(embeddings, labels).matrix, rtol=1e-5)


def test_copies_of_one_face_a_person():
    embeddings, labels = photographs(each=1)
    found = fit_whitening(np.repeat(embeddings, 3, axis=0), np.repeat(labels, 3))
    assert np.isfinite(found.matrix).all()
    assert not found.helps


def test_false_non_matches_by_hand():
    """The highest impostor pair has cosine 0; of the pairs of one person one has 1 and one 0, which is none above."""
    faces = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    assert _fnmr(faces, np.array([0, 0, 1, 1])) == 0.5


def test_false_non_matches_are_those_of_the_evaluation():
    embeddings, labels = photographs(people=40, each=4, wide=0.5)
    one, other = np.triu_indices(160, 1)
    cosines, same = (embeddings @ embeddings.T)[one, other], labels[one] == labels[other]
    expected = verification(cosines[same], cosines[~same], FMRS).fnmr.values()
    assert _fnmr(embeddings, labels) == pytest.approx(np.mean(list(expected)))
    assert len(set(expected)) == 2


def test_of_very_many_faces_some_are_fitted(monkeypatch):
    monkeypatch.setattr("facerec.recognisers.whitening.MOST_FITTED", 60)
    embeddings, labels = photographs()
    found = fit_whitening(embeddings, labels)
    fitted = found.fold >= 0
    assert np.bincount(labels[fitted]).max() == np.count_nonzero(fitted) / 10 == 6  # ten whole people
    np.testing.assert_allclose(found.matrix, fit_whitening(embeddings[fitted], labels[fitted]).matrix)


def test_four_people_are_compared_however_many_faces_each_has(monkeypatch):
    monkeypatch.setattr("facerec.recognisers.whitening.MOST_COMPARED", 48)
    embeddings, labels = photographs(people=4, each=60)
    found, few = fit_whitening(embeddings, labels), np.flatnonzero(np.arange(240) % 60 < 12)
    assert found.before == _fnmr(embeddings[few], labels[few])


def test_too_few_people():
    embeddings, labels = photographs(people=LEAST_PEOPLE - 1)
    with pytest.raises(InputError, match="3 people with two faces or more; whitening needs 4"):
        fit_whitening(embeddings, labels)


def test_four_people_suffice_and_a_gain_of_a_twentieth_is_needed():
    assert np.all(np.isfinite(fit_whitening(*photographs(people=LEAST_PEOPLE)).matrix))
    gains = [Whitening(np.eye(2), np.eye(2)[None], np.zeros(2, np.int8), 0.2, after).helps for after in (0.18, 0.195)]
    assert gains == [True, False]


def test_arrays_that_do_not_fit_are_refused():
    embeddings, labels = photographs(people=4)
    with pytest.raises(InputError, match=rf"labels are int64 of shape \[{len(labels) - 1}\] for {len(labels)} faces"):
        fit_whitening(embeddings, labels[1:])
    with pytest.raises(InputError, match="row 0 has NaN"):
        fit_whitening(embeddings * np.nan, labels)
