"""The faces that speed and memory are measured on: as many as asked, as alike as those they are made from."""

import importlib
import subprocess
import sys
from pathlib import Path

import hilander_speed
import numpy as np
import pytest
import scale

from facerec.pipeline.command_line import run

SIZES = 2500


def cosines(faces: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cosine of faces of one identity, and the 99.9th percentile of those of two."""
    found, same = faces @ faces.T, labels[:, None] == labels
    return float(found[same & ~np.eye(len(labels), dtype=bool)].mean()), float(np.quantile(found[~same], 0.999))


def test_simulated_faces_are_spread_like_those_they_are_made_from():
    real, identities = hilander_speed.load(Path("none"))
    faces, labels = hilander_speed.simulate(real, identities, SIZES, seed=1)
    assert faces.shape == (SIZES, real.shape[1])
    assert faces.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(faces, axis=1), 1, atol=1e-5)
    sizes = np.bincount(labels)
    assert sizes.min() > 0
    assert sizes.max() > 20 * np.median(sizes)
    some = np.arange(0, len(real), 3)
    (same, other), (real_same, real_other) = cosines(faces, labels), cosines(real[some], identities[some])
    assert same == pytest.approx(real_same, abs=0.05)
    assert other == pytest.approx(real_other, abs=0.05)


def test_simulated_faces_are_those_of_the_seed(monkeypatch):
    data = hilander_speed.load(Path("none"))
    faces, labels = hilander_speed.simulate(*data, 300, seed=1)
    np.testing.assert_array_equal(faces, hilander_speed.simulate(*data, 300, seed=1)[0])
    assert not np.array_equal(faces, hilander_speed.simulate(*data, 300, seed=2)[0])
    monkeypatch.setattr(hilander_speed, "IDENTITIES", 7)
    again, others = hilander_speed.simulate(*data, 300, seed=1)
    np.testing.assert_array_equal(np.bincount(others), np.bincount(labels))
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1, atol=1e-5)


def here(name: str, command: list[object], *_: object) -> None:
    """Runs a command as `scale.measured`, without a process of its own: what that takes is tested below."""
    program, *words = map(str, command)
    assert run(program, importlib.import_module(f"{program}.__main__").COMMANDS, words, hints=False) == 0
    print(name)


def test_what_a_process_takes_is_printed():
    """Measured by a small process, as a child is charged with the memory that its parent has: here of all tests."""
    code = "import scale; scale.measured('version', ['eval', '--version'], 1, 2**20)"
    folder = str(Path(scale.__file__).parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    name, wall, cpu, peak, beyond = done.stdout.split()
    assert name == "version"
    assert 0 < float(cpu) < 60
    assert 0 < float(wall) < 60
    assert 0 <= float(beyond) <= float(peak) < 2
    with pytest.raises(SystemExit, match="there is no command"):
        scale.measured("nothing", ["eval", "nosuch"], 1, 0)


def test_backends_are_measured_on_both_graphs(tmp_path, monkeypatch, capsys):
    command = ["scale.py", "--faces", "1200", "--embeddings", str(tmp_path / "none"), "--work", str(tmp_path / "work"),
               "--backends", "dbscan", "--exact", "--threads", "1"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(scale, "measured", here)
    scale.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("knn", "cluster"))] == ["knn", "cluster"] * 2
    (scores,) = (line for line in lines if line.startswith("dbscan"))
    assert [word.rstrip(",") for word in scores.split()[1::3]] == ["ivf", "exact"]
    assert (tmp_path / "work" / "clusters_dbscan_exact" / "labels.npy").exists()
