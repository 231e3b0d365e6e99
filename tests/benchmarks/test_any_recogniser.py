"""The table of any recogniser: what is disturbed stays the same corpus, and missing archives are skipped."""

import sys

import any_recogniser
import numpy as np
import pytest

from facerec.pipeline.embeddings import normalize


@pytest.fixture
def corpus() -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of 20 people with 10 faces each."""
    random, labels = np.random.default_rng(0), np.repeat(np.arange(20), 10)
    centres = normalize(random.normal(size=(20, 32)))
    return normalize(centres[labels] + 0.1 * random.normal(size=(200, 32))), labels


def test_disturbed_corpora_keep_their_cosines(corpus):
    faces, labels = corpus
    same = faces @ faces.T
    for change, moved, truth in any_recogniser.disturbed(faces, labels, np.random.default_rng(0)):
        assert len(moved) == len(truth) > 0.9 * len(faces)
        if change in ("float16", "rotation"):
            np.testing.assert_allclose(moved @ moved.T, same, atol=2e-3)
        np.testing.assert_allclose(np.sort((moved @ moved.T).max(axis=1)), 1, atol=1e-3)


def test_it_prints_every_row_and_skips_what_is_missing(corpus, tmp_path, monkeypatch, capsys):
    faces, labels = corpus
    np.savez(tmp_path / "faces.npz", embeddings=3 * faces, labels=labels)
    corpora = [f"some={tmp_path / 'faces.npz'}", f"other={tmp_path / 'none.npz'}"]
    monkeypatch.setattr(sys, "argv", ["any_recogniser", *corpora, "--seeds", "1", "--backends", "components"])
    any_recogniser.main()
    said = capsys.readouterr().out
    assert f"skipped other: no {tmp_path / 'none.npz'}; give NAME=EMBEDDINGS.npz" in said
    for row in ("some: 200 of 20", "float16, seed 0", "largest change", "centred", "common direction 2", "components"):
        assert row in said
