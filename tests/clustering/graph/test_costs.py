from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace

import faiss
import numpy as np
import pytest

from clustering.commands.knn import knn
from clustering.commands.plan import plan
from clustering.graph import costs as module
from clustering.graph.costs import Costs, available_memory, check_room, choose_index
from facerec.pipeline.files import InputError

SMALL = Costs(memory=1, disk=1)


@pytest.mark.parametrize(
    ("faces", "dimension", "gpus", "expected"),
    [
        (900, 128, 0, "exact"),
        (200_000, 128, 0, "exact"),
        (300_000, 128, 0, "ivf"),
        (200_000, 512, 0, "ivf"),
        (5_000_000, 128, 1, "exact"),
        (50_000_000, 128, 8, "ivf"),
    ],
)
def test_auto_goes_by_operations_and_device(monkeypatch, faces, dimension, gpus, expected):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: gpus)
    assert choose_index("auto", faces, dimension) == expected
    assert choose_index("exact", faces, dimension) == "exact"


def test_costs_by_hand():
    costs = Costs.of("exact", 1_000_000, 128, 10)
    assert costs.disk == 1_000_000 * 10 * 8
    hilander = Costs.of_hilander(1_000_000, 128, 10)
    assert hilander.memory == (1 << 30) + 1_000_000 * (6 * 128 + 20 * 10)


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_costs_grow_with_everything(index):
    base = Costs.of(index, 10**6, 128, 10)
    for more in (Costs.of(index, 2 * 10**6, 128, 10), Costs.of(index, 10**6, 256, 10), Costs.of(index, 10**6, 128, 40)):
        assert more.memory > base.memory
        assert more.disk >= base.disk


@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_processes_share_lists_and_disk_alone(index):
    one, four = (Costs.of(index, 10**6, 128, 10, processes) for processes in (1, 4))
    assert one.memory < four.memory < 4 * one.memory
    assert one.disk == four.disk
    own = Costs.of("exact", 1, 128, 10).memory
    assert Costs.of("exact", 1, 128, 10, 3).memory == pytest.approx(3 * own, rel=1e-4)


def test_a_million_faces_fit_beside_the_input():
    assert Costs.of("ivf", 10**6, 128, 10).memory < 4 << 30


def test_room_that_is_there(tmp_path):
    check_room(SMALL, tmp_path)
    assert available_memory() > 1 << 20


def test_too_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 1 << 30)
    with pytest.raises(InputError, match=r"takes 2.50 GiB of memory beside the embeddings, and 1.00 GiB are available"):
        check_room(replace(SMALL, memory=5 << 29), tmp_path)


def test_too_little_disk_but_for_what_is_there_already(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free=100))
    (tmp_path / "neighbors.npy").write_bytes(bytes(50))
    check_room(replace(SMALL, disk=150), tmp_path)
    said = r"takes 0\.15 KiB of disk, and 0\.15 KiB are free; choose another --out or lower --k"
    with pytest.raises(InputError, match=said):
        check_room(replace(SMALL, disk=151), tmp_path)


def test_knn_refuses_before_it_starts(tmp_path, monkeypatch):
    np.save(tmp_path / "faces.npy", np.eye(9, dtype=np.float32))
    monkeypatch.setattr(module, "available_memory", lambda: 1 << 20)
    monkeypatch.setattr("clustering.graph.builder.GraphBuilder.exact", lambda *_: pytest.fail("started"))
    with pytest.raises(InputError, match=r"and 1.00 MiB are available"):
        knn(tmp_path / "faces.npy", tmp_path / "knn", k=3)
    assert not (tmp_path / "knn.partial").exists()


def test_plan_prints_a_line_for_each_stage(capsys):
    plan(faces=1_000_000, dimension=128, k=10, index="exact")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1,000,000 faces, d = 128, k = 10; embeddings 0.48 GiB in float32, mapped"
    assert [line.split()[0] for line in lines[2:]] == ["knn", "hilander", "available"]
    assert lines[2].split()[4:] == ["0.07", "GiB"]


def test_plan_reads_the_size_of_embeddings(tmp_path, capsys):
    np.save(tmp_path / "embeddings.npy", np.eye(30, dtype=np.float32))
    plan(embeddings=tmp_path)
    out = capsys.readouterr().out
    assert out.startswith("30 faces, d = 30, k = 10")
    assert "knn exact" in out
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings.npy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give --embeddings or --faces, and not both"),
        ({"faces": 0}, "--faces is 0; it must be at least 1"),
        ({"faces": 10, "k": 0}, "--k is 0; it must be at least 1"),
        ({"faces": 10, "k": 10}, "10 faces, so at most 9 neighbours; --k is 10; lower it"),
        ({"faces": 10, "dimension": -1}, "--dimension is -1; it must be at least 1"),
        ({"faces": 10, "k": 2, "index": "flat"}, "--index flat; choose one of auto, exact, ivf"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        plan(**options)
