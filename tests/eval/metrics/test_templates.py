import functools

import numpy as np
import pytest

from eval.metrics import templates
from eval.metrics.templates import pool, pool_subjects, unit_rows, with_empty
from facerec.pipeline.files import InputError, row_blocks

FACES = np.float32([[1, 0], [0, 1], [0, 1], [0, 0], [0.6, 0.8], [0, 0]])


def slow_pool(embeddings, rows, template, media, weights):
    pooled = {}
    for t in sorted(set(template)):
        total = np.zeros(embeddings.shape[1])
        for m in sorted({m for s, m in zip(template, media, strict=True) if s == t}):
            faces = [
                (w, embeddings[r].astype(float))
                for r, s, n, w in zip(rows, template, media, weights, strict=True)
                if (s, n) == (t, m)
            ]
            faces = [w * face for w, face in faces if face.any()]
            total += np.mean(faces, axis=0) if faces else 0
        pooled[t] = total / (np.linalg.norm(total) or 1)
    return pooled


def test_media_are_means_and_unreadable_faces_weigh_nothing():
    # Template 8: a still [1, 0] and a video of [0, 1], [0, 1] and an unreadable frame. 3: one face. 5: none.
    found = pool(FACES, np.arange(6), np.array([8, 8, 8, 8, 3, 5]), np.array([1, 2, 2, 2, 1, 9]))
    assert found.ids.tolist() == [3, 5, 8]
    np.testing.assert_allclose(found.features, [[0.6, 0.8], [0, 0], [0.5**0.5, 0.5**0.5]], rtol=1e-6)
    assert (found.media, found.unreadable_faces, found.empty) == (3, 2, 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_agrees_with_oracle(monkeypatch, block, weighted):
    monkeypatch.setattr(templates, "FACES_PER_BLOCK", block)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((40, 5)).astype(np.float32)
    embeddings[rng.random(40) < 0.2] = 0
    embeddings.flags.writeable = False
    rows, template, media = rng.permutation(40)[:30], rng.integers(0, 9, 30) * 7, rng.integers(0, 3, 30)
    weights = rng.random(30) if weighted else np.ones(30)
    found = pool(embeddings, rows, template, media, weights if weighted else None)
    expected = slow_pool(embeddings, rows, template, media, weights)
    assert found.ids.tolist() == list(expected)
    np.testing.assert_allclose(found.features, list(expected.values()), atol=1e-12)
    readable = embeddings[rows].any(axis=1)
    assert found.unreadable_faces == np.count_nonzero(~readable) > 0
    assert found.media == len(set(zip(template[readable], media[readable], strict=True)))


def test_subjects_pool_their_templates():
    ids, features = pool_subjects(np.array([[1.0, 0], [0, 1], [0, 1]]), np.array([9, 4, 9]))
    assert ids.tolist() == [4, 9]
    np.testing.assert_allclose(features, [[0, 1], [0.5**0.5, 0.5**0.5]])


def test_templates_without_a_face_are_added():
    found = with_empty(pool(FACES, np.array([0, 3]), np.array([4, 6]), np.array([1, 1])), np.array([2, 4, 5, 6]), 3)
    np.testing.assert_array_equal(found.features, [[0, 0], [1, 0], [0, 0], [0, 0]])
    assert (found.ids.tolist(), found.media, found.unreadable_faces, found.empty) == ([2, 4, 5, 6], 1, 4, 3)


@pytest.mark.parametrize("odd", [[0.3, 0.4], [3, 4], [0.6, 0.81], [1e-3, 0]])
@pytest.mark.parametrize("place", [0, 2])
def test_rows_stay_as_they_are_only_if_each_is_of_unit_length_or_zero(monkeypatch, place, odd):
    monkeypatch.setattr(templates, "row_blocks", functools.partial(row_blocks, rows=1))
    rows = np.array([[0.6, 0.8], [0, 0], [1, 0]])
    assert np.shares_memory(unit_rows(rows, "faces"), rows)
    rows[place] = odd
    found = unit_rows(rows, "faces")
    np.testing.assert_allclose(found[place], np.array(odd) / np.hypot(*odd))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 1])


def test_rows_of_nearly_unit_length_are_normalised_too():
    """Of rows rounded to three digits, say, whose cosines would be off by a thousandth."""
    rows = np.float32([[0.6, 0.8], [0.6004, 0.8004]])
    assert np.linalg.norm(unit_rows(rows, "faces"), axis=1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("length", [1e-320, 1e-200, 1e-30, 3, 1e200, 1.7e308])
def test_rows_of_any_length_become_unit_rows(length):
    rows = np.array([[0.6, -0.8], [0, 0], [0.1, 1]])
    found = unit_rows(rows * length, "faces")
    np.testing.assert_allclose(found, rows / np.array([[1], [1], [np.hypot(0.1, 1)]]), atol=1e-3)
    with pytest.raises(InputError, match="faces: row 1 has NaN or infinite values; recompute it"):
        unit_rows(np.where(rows == 0, np.array([[1], [np.inf], [1]]), rows * length), "faces")


ONE = np.array([0, 1]), np.array([4, 4]), np.array([1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FACES, ONE[0], ONE[1], ONE[2][:1]), r"media ids are int64 of shape \[1\] for 2 faces"),
        ((FACES, ONE[0], np.array([4, 4, 4]), ONE[2]), r"template ids are int64 of shape \[3\] for 2 faces"),
        ((FACES, np.array([0.0, 1]), *ONE[1:]), r"rows are float64 of shape \[2\]"),
        ((FACES, np.array([0, 6]), *ONE[1:]), "rows are 0 to 6; expected one for each face, from 0 to 5"),
        ((FACES, np.array([-1, 0]), *ONE[1:]), "rows are -1 to 0"),
        ((FACES, *(one[:0] for one in ONE)), "rows are none"),
        ((FACES[0], *ONE), r"embeddings: float32 of shape \[2\]; expected numbers \[m, d\]"),
        (
            (FACES * np.float32([[1], [np.nan], [1], [1], [1], [1]]), *ONE),
            "NaN or infinite values in a face of template 4",
        ),
        ((FACES, *ONE, np.array([1.0])), r"weights: float64 of shape \[1\] for 2 faces"),
        ((FACES, *ONE, np.array([1, -0.5])), "finite and not negative"),
        ((FACES, *ONE, np.array([1, np.nan])), "finite and not negative"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    assert pool(FACES, *ONE).ids.tolist() == [4]
    with pytest.raises(InputError, match=message):
        pool(*arguments)


def test_subjects_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"subjects are int64 of shape \[2\] for 3 faces"):
        pool_subjects(np.eye(3), np.array([1, 2]))
    with pytest.raises(InputError, match=r"features: shape \[3\]; expected \[t, d\]"):
        pool_subjects(np.ones(3), np.array([1, 2, 3]))
