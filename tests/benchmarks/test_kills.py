"""A command that is killed and started again, and how the benchmark of it goes about that."""

from pathlib import Path

import kills
import numpy as np
import pytest

from facerec.pipeline.embeddings import normalize


def test_lives_are_seeded_and_end_within_the_time_needed():
    lives = kills.lives(10.0, 4, 1)
    assert len(lives) == 5
    assert lives[-1] == np.inf
    assert min(lives) >= 0
    assert sum(lives[:-1]) <= 10
    assert lives == kills.lives(10.0, 4, 1) != kills.lives(10.0, 4, 2)


def test_what_differs_is_named(tmp_path):
    for name in ("one_knn", "one_clusters", "two_knn", "two_clusters"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "labels.npy", np.arange(3))
    assert list(kills.differing(tmp_path / "one", tmp_path / "two")) == []
    np.save(tmp_path / "two_knn" / "labels.npy", np.arange(4))
    (tmp_path / "one_clusters" / "labels.npy").unlink()
    (tmp_path / "two_clusters.partial").mkdir()
    differences = ["two_knn/labels.npy", "two_clusters/labels.npy", "two_clusters.partial"]
    assert list(kills.differing(tmp_path / "one", tmp_path / "two")) == differences


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_killed_and_started_again_ends_with_the_same_bits(tmp_path):
    np.save(tmp_path / "faces.npy", normalize(np.random.default_rng(0).normal(size=(12_000, 64))))
    names = ("first", "calm", "killed")
    first, calm, killed = (kills.job(tmp_path / "faces.npy", tmp_path / name, "exact")[:1] for name in names)
    kills.life(first, np.inf, 1)  # libraries that are not yet in memory take longer to start
    whole = kills.life(calm, np.inf, 1)[0]
    for seconds in (0.1, 0.5 * whole):
        used = kills.life(killed, seconds, 1)
        assert seconds - 0.05 < used[0] < whole
        assert not (tmp_path / "killed_knn").exists()
    kills.life(killed, np.inf, 1)
    assert list(kills.differing(tmp_path / "calm", tmp_path / "killed")) == []
