"""knn and cluster by two processes, and by what is left of them."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from clustering.commands.cluster import cluster
from clustering.commands.knn import knn
from facerec.pipeline.embeddings import normalize

ROWS = 300

ALL = """
import sys
from pathlib import Path
import torch
from clustering.graph import blocks_on_disk
from clustering.commands.cluster import cluster
from clustering.commands.knn import knn

torch.set_num_threads(1)
blocks_on_disk.LEAST_ROWS = int(sys.argv[1])
faces, out = Path(sys.argv[2]), Path(sys.argv[3])
knn(faces / "single.npy", out / "exact", k=5)
knn(faces / "half.npy", out / "ivf", k=5, index="ivf")
cluster("dbscan", faces / "half.npy", out / "dbscan")
cluster("hilander", faces / "single.npy", out / "hilander", knn=out / "exact")
"""

DYING = """
import os, signal, sys, time
from pathlib import Path
from clustering.graph import blocks_on_disk
from clustering.commands.knn import knn

blocks_on_disk.LEAST_ROWS = int(sys.argv[1])
touch, marked = Path.touch, []
def touch_and_die(path):
    touch(path)
    marked.append(path)
    if len(marked) == 2 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
Path.touch = touch_and_die
knn(Path(sys.argv[2]) / "single.npy", Path(sys.argv[3]), k=5)
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """A folder with the same faces in single and in half precision, two of them unreadable."""
    random = np.random.default_rng(1)
    labels = random.permutation(np.repeat(np.arange(300), 5))
    rows = normalize(normalize(random.normal(size=(300, 32)))[labels] + 0.15 * random.normal(size=(len(labels), 32)))
    rows[[7, 900]] = 0
    folder = tmp_path_factory.mktemp("faces")
    np.save(folder / "single.npy", rows)
    np.save(folder / "half.npy", rows.astype(np.float16))
    return folder


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr("clustering.graph.blocks_on_disk.LEAST_ROWS", ROWS)


def arrays(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


def test_two_processes_make_what_one_makes(faces, tmp_path, in_processes):
    in_processes(tmp_path, ALL, ROWS, faces, tmp_path / "two")
    one = tmp_path / "one"
    exact = knn(faces / "single.npy", one / "exact", k=5)
    knn(faces / "half.npy", one / "ivf", k=5, index="ivf")
    cluster("dbscan", faces / "half.npy", one / "dbscan")
    cluster("hilander", faces / "single.npy", one / "hilander", knn=exact)
    found, expected = arrays(tmp_path / "two"), arrays(one)
    assert list(found) == list(expected)
    assert {name for name in expected if found[name] != expected[name]} == set()
    assert {"exact/neighbors.npy", "ivf/similarities.npy", "dbscan/labels.npy", "hilander/labels.npy"} <= set(found)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["dbscan", "exact", "hilander", "ivf"]


def test_a_process_that_dies_ends_the_job_and_one_goes_on(faces, tmp_path, in_processes):
    in_processes(tmp_path, DYING, ROWS, faces, tmp_path / "knn", ends=[1, -signal.SIGKILL])
    assert not (tmp_path / "knn").exists()
    marks = {path.name for path in (tmp_path / "knn.partial").rglob("finished/*")}
    assert {"300-600", "900-1200"} <= marks
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "touch", lambda path: made.append(path.name))
        knn(faces / "single.npy", tmp_path / "knn", k=5)
    assert set(made) == {"0-300", "300-600", "600-900", "900-1200", "1200-1500"} - marks
    assert arrays(tmp_path / "knn") == arrays(knn(faces / "single.npy", tmp_path / "straight", k=5))
