"""A command that is killed and started again, and how the benchmark of it goes about that."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from facerec.artifacts import normalize

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kills():
    spec = importlib.util.spec_from_file_location("kills", ROOT / "benchmarks" / "kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        spec.loader.exec_module(module)
    return module


def test_lives_are_seeded_and_end_within_the_time_needed(kills):
    lives = kills.lives(10.0, 4, 1)
    assert len(lives) == 5
    assert lives[-1] == np.inf
    assert min(lives) >= 0
    assert sum(lives[:-1]) <= 10
    assert lives == kills.lives(10.0, 4, 1) != kills.lives(10.0, 4, 2)


def test_what_differs_is_named(kills, tmp_path):
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
def test_killed_and_started_again_ends_with_the_same_bits(kills, tmp_path):
    np.save(tmp_path / "faces.npy", normalize(np.random.default_rng(0).normal(size=(12_000, 64))))
    calm, killed = (kills.job(tmp_path / "faces.npy", tmp_path / name, "exact")[:1] for name in ("calm", "killed"))
    whole = kills.life(calm, np.inf, 1)[0]
    for seconds in (0.1, 0.5 * whole):
        used = kills.life(killed, seconds, 1)
        assert seconds - 0.05 < used[0] < whole
        assert not (tmp_path / "killed_knn").exists()
    kills.life(killed, np.inf, 1)
    assert list(kills.differing(tmp_path / "calm", tmp_path / "killed")) == []
