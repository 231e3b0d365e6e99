"""Hi-LANDER by several processes: to the last bit what one makes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from hypothesis import given
from hypothesis import strategies as st

from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.lander import LinkageModel
from clustering.graph import shared_rows as ranks
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import normalize

MODELS = {
    "pairs": ({"inputs": "similarities"}, {}),
    "similarities": ({"inputs": "similarities"}, {"merging": "edges"}),
    "reference": ({"inputs": "features", "dimension": 16, "encoder": "reference"}, {"features": "reference"}),
    "attention": ({"inputs": "both", "dimension": 8, "encoder": "gat", "heads": 2}, {"features": "identity"}),
}


def graph() -> KnnGraph:
    """700 faces in nearby groups, of which two are unreadable."""
    random = np.random.default_rng(0)
    centres = normalize(random.normal(size=(90, 8)))
    faces = normalize(centres[random.integers(0, 90, 700)] + 0.2 * random.normal(size=(700, 8)))
    faces[[5, 300]] = 0
    return KnnGraph.build(faces, 4)


def clusterings(folder: Path) -> None:
    """Clusters with every model and saves what comes out."""
    faces = graph()
    for name, (settings, options) in MODELS.items():
        torch.manual_seed(1)
        model = HiLander(LinkageModel(width=8, hidden=8, **settings), k=4, p_tau=0.4, adaptive=False, **options)
        clustering = model.cluster(faces)
        assert len(clustering.levels) > 1
        (folder / name).mkdir()
        clustering.save(folder / name)


def _process(rank: int, count: int, folder: Path) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=count)
    own = folder / str(rank)
    own.mkdir()
    clusterings(own)
    dist.destroy_process_group()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npy"))}


@pytest.mark.parametrize(("most", "kept", "counts"), [(20_000, 1 << 20, (2, 3)), (20, 0, (2,))])
def test_any_number_of_processes_makes_what_one_makes(tmp_path, monkeypatch, most, kept, counts):
    monkeypatch.setattr("clustering.backends.hilander.climb.MOST_NODES", most)
    monkeypatch.setattr("clustering.backends.hilander.native_engine.KEPT_VALUES", {"cpu": kept, "cuda": kept})
    monkeypatch.setattr(
        "clustering.backends.hilander.native_engine.BLOCK_VALUES", {"cpu": 8 * 4 * 50, "cuda": 8 * 4 * 50}
    )
    monkeypatch.setattr("clustering.backends.hilander.level_neighbors.SHARED_ROWS", 40)
    (tmp_path / "alone").mkdir()
    clusterings(tmp_path / "alone")
    expected = contents(tmp_path / "alone")
    assert {f"{name}/levels/01/linkage.npy" for name in MODELS} <= set(expected)
    for count in counts:
        folder = tmp_path / f"{count}"
        folder.mkdir()
        torch.multiprocessing.start_processes(_process, (count, folder), count, start_method="fork")
        for rank in range(count):
            found = contents(folder / str(rank))
            assert list(found) == list(expected)
            assert [name for name in expected if found[name] != expected[name]] == []


@given(rows=st.integers(0, 300), block=st.integers(1, 70), count=st.integers(1, 5))
def test_every_block_is_one_process_s_and_as_it_is_for_one(rows, block, count):
    with pytest.MonkeyPatch.context() as patch:
        alone = list(ranks.own_blocks(rows, block))
        patch.setattr(ranks, "_count", lambda: count)
        shares = []
        for place in range(count):
            patch.setattr(ranks, "_place", lambda place=place: place)
            shares.append(list(ranks.own_blocks(rows, block)))
    assert [part for share in shares for part in share] == alone
    assert [part.start for part in alone] == list(range(0, rows, block))
    assert sum(part.stop - part.start for part in alone) == rows
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_exchanged():
    values = np.arange(6, dtype=np.float32)
    ranks.exchange(values, 2)
    np.testing.assert_array_equal(values, np.arange(6))
