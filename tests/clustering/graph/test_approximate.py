from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import faiss
import numpy as np
import pytest

from clustering.commands.knn import knn
from clustering.graph import builder as builder_module
from clustering.graph import codes as codes_module
from clustering.graph.approximate import ApproximateSettings, approximate
from clustering.graph.build import make_graph
from clustering.graph.builder import GraphBuilder
from clustering.graph.candidates import best, both_ways
from clustering.graph.cells import CellSettings, SortedFaces, sort_faces
from clustering.graph.codes import Quantiser, multiplier, products, shifted
from clustering.graph.knn_graph import KnnGraph
from clustering.graph.scan import LOWEST, Hits, own_limits, scan, top
from clustering.graph.second_search import (
    SecondSearch,
    SecondSearchSettings,
    UncertainRows,
    cheapest_ways,
    is_listed,
    share_per_row,
)
from facerec.pipeline.embeddings import load_embeddings, normalize
from facerec.pipeline.files import InputError

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from clustering.graph import approximate, blocks_on_disk
from clustering.commands.knn import knn

blocks_on_disk.LEAST_ROWS, blocks_on_disk.CHEAP = 500, 1
settings = approximate.ApproximateSettings(
    probed=2, cells=approximate.CellSettings(rows=20), second=approximate.SecondSearchSettings(most=60)
)
approximate.ApproximateSettings = lambda: settings
marked, touch = [], Path.touch
def touch_and_die(path):
    touch(path)
    marked.append(path)
    if len(marked) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
Path.touch = touch_and_die
knn(Path(sys.argv[1]), Path(sys.argv[2]), k=5, index=sys.argv[4])
"""


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Identities of one to sixty faces, some of them unreadable."""
    random = np.random.default_rng(3)
    sizes = np.clip(random.lognormal(1.5, 1.2, 400).astype(int), 1, 60)
    labels = random.permutation(np.repeat(np.arange(400), sizes))[:2200]
    centres = normalize(random.normal(size=(400, 32)))
    rows = normalize(centres[labels] + 0.7 * normalize(random.normal(size=(len(labels), 32))))
    rows[[7, 500, len(rows) - 1]] = 0
    return rows


@pytest.fixture(scope="module")
def file(faces, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "embeddings.npy"
    np.save(path, faces)
    return path


@pytest.fixture(scope="module")
def made(file, tmp_path_factory) -> Path:
    return knn(file, tmp_path_factory.mktemp("graph") / "knn", k=5, index="ivf")


def test_best_by_hand():
    embeddings = normalize(np.array([[1, 0], [1, 1], [0, 1], [-1, 0], [2, 1]]))
    ids, cosines = best(embeddings, np.array([0, 2]), np.array([[0, 3, 1, 1, 4], [-1, 0, 3, 0, 2]]), 4)
    np.testing.assert_array_equal(ids, [[4, 1, 3, -1], [0, 3, -1, -1]])
    np.testing.assert_allclose(cosines, [[2 / 5**0.5, 0.5**0.5, -1, 0], [0, 0, 0, 0]], atol=1e-6)


def test_best_pads_when_there_are_few_candidates():
    ids, cosines = best(np.eye(3, dtype=np.float32), np.array([1]), np.array([[2]]), 3)
    np.testing.assert_array_equal(ids, [[2, -1, -1]])
    np.testing.assert_array_equal(cosines, [[0, 0, 0]])


def test_both_ways_by_hand():
    links = np.array([[3, 1], [3, -1], [1, 3], [0, -1]], dtype=np.int32)
    expected = [[3, 1, 3, -1], [3, -1, 2, 0], [1, 3, -1, -1], [0, -1, 0, 1]]  # of 3's three, those to which it is first
    np.testing.assert_array_equal(both_ways(links, back_links=2), expected)


def test_found_shares_by_hand():
    truth = np.array([[1, 2, 3], [4, 5, -1], [6, 7, 8]])
    found = np.array([[3, 2, 9], [4, -1, -1], [7, 8, 6]])
    np.testing.assert_allclose(share_per_row(is_listed(truth, found), truth), [2 / 3, 1 / 2, 1])


def test_the_cheapest_ways_by_hand():
    gains, costs = np.array([[5.0, 7, 8], [1, 1.5, 10], [9, 9, 9]]), np.array([[0.0, 1, 3]] * 3)
    # 15 without any; +2 for 1, then +9 for 3, then +1 for 2
    for least, ways in ((15, [0, 0, 0]), (15.1, [0, 2, 0]), (24, [0, 2, 0]), (24.1, [1, 2, 0]), (27, [2, 2, 0])):
        np.testing.assert_array_equal(cheapest_ways(gains, costs, least, 10), ways)
    np.testing.assert_array_equal(cheapest_ways(gains, costs, 100, 10), [2, 2, 0])  # as far as it can
    for most, ways in ((5, [1, 2, 0]), (3, [0, 2, 0]), (2.9, [1, 1, 0]), (1, [1, 0, 0]), (0, [0, 0, 0])):
        np.testing.assert_array_equal(cheapest_ways(gains, costs, 100, most), ways)  # what is too dear is left out
    costs[1] *= 10  # a large group
    np.testing.assert_array_equal(cheapest_ways(gains, costs, 24, 100), [2, 2, 0])


def test_rows_get_the_cells_of_their_group():
    chosen = SecondSearch([0.2, 0.5], [256, 64, 0], 0.9)
    np.testing.assert_array_equal(chosen.of_rows(np.array([0, 0.19, 0.2, 0.49, 0.5, 1])), [256, 256, 64, 64, 0, 0])


def searched(
    faces: np.ndarray, folder: Path, recall: float, cells: tuple[int, ...], most: int = 20_000
) -> tuple[float, list[int]]:
    """Recall of an approximate graph that looks into one small cell at first, and in how many it looks again."""
    second = SecondSearchSettings(cells, most=most)
    settings = ApproximateSettings(probed=1, rounds=1, cells=CellSettings(rows=20), second=second)
    builder = GraphBuilder(faces, np.flatnonzero(faces.any(axis=1)), folder, folder / "steps", 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clustering.graph.approximate.ApproximateSettings", lambda: settings)
        lists, again = approximate(builder, recall)
    assert sum(len(some.places) for some in again) <= len(builder.readable)
    true, found = KnnGraph.build(faces, 5).neighbors[builder.readable], lists.neighbors[builder.readable]
    return share_per_row(is_listed(true, found), true).mean(), [some.cells for some in again]


def test_rows_are_searched_again_in_as_few_cells_as_reach_the_recall(faces, tmp_path):
    some, few = searched(faces, tmp_path / "some", 0.9, (5, 20, 60, 1000))
    every, many = searched(faces, tmp_path / "every", 1.0, (5, 20, 60, 1000))
    assert 0.89 < some < 0.95
    assert every > 0.999
    assert max(few) < max(many)


def test_where_few_cells_do_not_reach_the_recall_rows_look_into_all(faces, tmp_path):
    recall, cells = searched(faces, tmp_path, 0.999, (2, 3))
    assert recall > 0.998
    assert max(cells) == len(np.load(tmp_path / "steps" / "cells" / "centres.npz")["means"])


def test_what_a_face_is_compared_with_is_bounded_and_a_last_round_spreads_it(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(builder_module, "SAMPLED_ROWS", 1500)  # fewer than there are
    recalls = []
    for most in (0, 60, 20_000):
        recall, _ = searched(faces, tmp_path / str(most), 0.999, (5, 20, 60), most)
        steps, readable = tmp_path / str(most) / "steps", np.count_nonzero(faces.any(axis=1))
        again = json.loads((steps / "second_search.json").read_text())
        assert (steps / "last").exists() == (again[2] < 0.999)
        searched_rows = [(int(path.name[6:]), len(np.load(path / "neighbors.npy"))) for path in steps.glob("again_*")]
        compared = sum((cells - 1) * 20 * rows for cells, rows in searched_rows) / readable
        assert 0.9 * min(most, 60) <= compared <= 1.2 * most  # all that is allowed, where that is too little
        recalls.append((again[2], recall))
    (none, first), (some, second), (every, third) = recalls
    assert none < some < every
    assert first < second < third
    assert first >= none - 0.02


@pytest.fixture(scope="module")
def sorted_faces(faces, tmp_path_factory) -> SortedFaces:
    folder = tmp_path_factory.mktemp("sorted")
    builder = GraphBuilder(faces, np.flatnonzero(faces.any(axis=1)), folder, folder, 5)
    return sort_faces(builder, CellSettings(rows=20))


def test_cells_are_as_many_as_cost_least():
    for faces, cells in ((100, 1), (300_000, 1500), (10**6, 5000), (10**7, 17_888), (10**8, 56_568)):
        assert CellSettings().cells(faces) == cells


def test_faces_are_sorted_by_the_cell_they_are_nearest_to(faces, sorted_faces):
    cells = np.repeat(np.arange(len(sorted_faces.centres)), np.diff(sorted_faces.starts))
    scores = sorted_faces.codes.astype(int) @ sorted_faces.centres.astype(int).T
    assert np.mean(scores[np.arange(len(cells)), cells] == scores.max(axis=1)) > 0.95
    np.testing.assert_array_equal(np.sort(sorted_faces.order), np.flatnonzero(faces.any(axis=1)))
    np.testing.assert_array_equal(sorted_faces.embeddings, faces[sorted_faces.order])
    np.testing.assert_array_equal(sorted_faces.codes, sorted_faces.quantiser.encode(faces[sorted_faces.order]))


def test_a_scan_of_all_cells_finds_the_largest_products_of_codes(sorted_faces):
    places, codes = np.array([3, 700, 701, 2000]), sorted_faces.codes.astype(int)
    scores = codes[places] @ codes.T
    ids, found = scan(sorted_faces, places, 10**6, np.full(4, -(10**6)), 30)
    np.testing.assert_array_equal(ids, np.argsort(-scores, axis=1, kind="stable")[:, :30])
    np.testing.assert_array_equal(found, np.take_along_axis(scores, ids, axis=1))
    ids = scan(sorted_faces, places, 10**6, found[:, 10], 30)[0]
    np.testing.assert_array_equal((ids >= 0).sum(axis=1), (scores > found[:, 10:11]).sum(axis=1))


def test_own_limits_are_below_the_best_among_the_faces_beside(sorted_faces):
    codes = sorted_faces.codes[100:160].astype(int)
    scores = np.sort(codes @ codes.T, axis=1)
    np.testing.assert_array_equal(own_limits(sorted_faces, np.arange(100, 160), 5), scores[:, -6] - 1)


def test_the_rank_of_a_cell_is_how_many_cells_are_nearer(sorted_faces, tmp_path):
    builder = GraphBuilder(sorted_faces.embeddings, np.arange(len(sorted_faces)), tmp_path, tmp_path, 5)
    uncertain = UncertainRows(builder, None, sorted_faces, SecondSearchSettings())
    rows, ids = np.array([4, 900]), np.array([[4, 2000, -1], [7, 900, 901]])
    cells = np.repeat(np.arange(len(sorted_faces.centres)), np.diff(sorted_faces.starts))[ids]
    scores = sorted_faces.codes[rows].astype(int) @ sorted_faces.centres.astype(int).T
    expected = [[np.sum(row > row[cell]) for cell in own] for row, own in zip(scores, cells, strict=True)]
    there = ids >= 0
    np.testing.assert_array_equal(uncertain.ranks_of_cells(rows, ids)[there], np.array(expected)[there])
    assert uncertain.ranks_of_cells(rows, ids)[0, 0] == 0  # its own cell is the nearest


def test_the_best_hits_of_each_row_by_hand():
    hits = Hits(*(np.array(part, np.int32) for part in ([2, 0, 2, 2, 0], [5, 6, 7, 8, 9], [-3, 4, 9, -3, 6])))
    ids, scores = top(hits, 3, 2)
    np.testing.assert_array_equal(ids, [[9, 6], [-1, -1], [7, 5]])
    np.testing.assert_array_equal(scores, [[6, 4], [LOWEST, LOWEST], [9, -3]])


def test_known_cells_are_left_out(sorted_faces):
    places, limits = np.arange(0, 2000, 7), np.full(286, -(1 << 25), dtype=np.int32)
    near = scan(sorted_faces, places, 4, limits, 300)[0]
    further = scan(sorted_faces, places, 20, limits, 3000, known=4)[0]
    both = scan(sorted_faces, places, 20, limits, 3000)[0]
    for some, others, found in zip(near, further, both, strict=True):
        assert set(some[some >= 0]) | set(others[others >= 0]) == set(found[found >= 0])
        assert not set(some[some >= 0]) & set(others[others >= 0])


@pytest.fixture(params=["int8", "uint8"])
def kind(request, monkeypatch):
    """Kinds of numbers on the right side of products; exact ones, which int8 may not be where they are not taken."""
    if request.param == "int8" and not codes_module.int8_is_better():
        pytest.skip("this machine multiplies uint8 faster, or int8 not exactly")
    monkeypatch.setattr(codes_module, "int8_is_better", lambda: request.param == "int8")


@pytest.mark.usefixtures("kind")
def test_products_are_whole_numbers_of_any_size():
    extremes = np.array([[-128, 127] * 300, [127] * 600, [-128] * 600], np.int8)
    drawn = np.random.default_rng(0).integers(-128, 128, (300, 600)).astype(np.int8)
    right = np.vstack([extremes, drawn])
    for left in (right, right[1:2], right[7:80]):
        expected = left.astype(np.int64) @ right.astype(np.int64).T
        np.testing.assert_array_equal(products(shifted(left), right), expected)
        np.testing.assert_array_equal(multiplier(right)(shifted(left)), expected)


@pytest.fixture
def decided_anew():
    codes_module.int8_is_better.cache_clear()
    yield
    codes_module.int8_is_better.cache_clear()


def true_products(left, right):
    signed = right.astype(int) if right.dtype == np.int8 else right.astype(int) - 128
    return (left.astype(int) - 128) @ signed.T


@pytest.mark.usefixtures("decided_anew")
def test_a_slow_beginning_does_not_decide_how_to_multiply(monkeypatch):
    """Units that multiply int8 matrices take some calls to wake up."""
    calls = []

    def slow_at_first(left, right):
        calls.append(right.dtype)
        until = time.thread_time() + (0.002 if right.dtype == np.uint8 else 0.004 if len(calls) < 6 else 0.0002)
        product = true_products(left[:1], right[:1])
        while time.thread_time() < until:
            pass
        return product

    monkeypatch.setattr(codes_module, "_products", slow_at_first)
    monkeypatch.setattr(codes_module, "_multiplier", lambda right: lambda left: true_products(left[:1], right[:1]))
    assert codes_module.int8_is_better()


@pytest.mark.usefixtures("decided_anew")
def test_products_that_overflow_are_not_taken(monkeypatch):
    true = codes_module._products

    def overflowing(left, right):
        return np.minimum(true(left, right), 1 << 15) if right.dtype == np.int8 else true(left, right)

    monkeypatch.setattr(codes_module, "_products", overflowing)
    assert not codes_module.int8_is_better()
    left = np.full((1, 128), 255, np.uint8)
    np.testing.assert_array_equal(products(left, np.full((1, 128), 127, np.int8)), [[127 * 127 * 128]])


def test_products_of_codes_are_near_the_cosines():
    random = np.random.default_rng(0)
    rows = normalize(random.normal(size=(500, 64)))
    quantiser = Quantiser.of(rows)
    codes = quantiser.encode(rows).astype(int)
    errors = np.abs(codes @ codes.T / quantiser.scale**2 - rows @ rows.T)
    assert np.mean(errors[~np.eye(500, dtype=bool)] > quantiser.slack) < 2e-3
    assert quantiser.slack < 0.02


def test_samples_are_of_readable_rows_and_seeded(monkeypatch):
    monkeypatch.setattr(builder_module, "SAMPLED_ROWS", 2000)
    readable = np.arange(0, 5000, 2)
    builder = GraphBuilder(np.zeros((5000, 2), np.float32), readable, Path(), Path(), 5)
    rows = builder.sample(1)
    assert len(rows) == 2000
    assert set(rows) <= set(readable)
    np.testing.assert_array_equal(rows, builder.sample(1))
    assert not np.array_equal(rows, builder.sample(2))


def test_finds_what_it_aims_at_and_says_so(faces, made):
    graph, true = KnnGraph.load(made, faces), KnnGraph.build(faces, 5)
    rows = np.flatnonzero(true.readable)
    recall = share_per_row(is_listed(true.neighbors[rows], graph.neighbors[rows]), true.neighbors[rows]).mean()
    results = json.loads((made / "meta.json").read_text())["results"]
    assert recall >= 0.97
    assert results["recall@5"] == pytest.approx(recall, abs=0.01)
    assert results["recall@5_above_chance"] >= 0.97
    assert results["index"] == "ivf"
    assert sorted(path.name for path in made.iterdir()) == ["meta.json", "neighbors.npy", "similarities.npy"]


def test_similarities_are_the_cosines_in_order(faces, made):
    graph = KnnGraph.load(made, faces)
    expected = np.einsum("nd,nkd->nk", faces, faces[graph.neighbors])
    np.testing.assert_allclose(graph.similarities, np.where(graph.valid, expected, 0), atol=1e-6)
    assert np.all(np.diff(graph.similarities[graph.readable], axis=1) <= 0)


def test_unreadable_rows_neither_have_nor_are_neighbours(faces, made):
    graph = KnnGraph.load(made, faces)
    unreadable = np.flatnonzero(~graph.readable)
    assert np.all(graph.neighbors[unreadable] == -1)
    assert not np.isin(graph.neighbors, unreadable).any()
    assert graph.valid[graph.readable].all()


def test_threads_do_not_matter(file, made, tmp_path):
    faiss.omp_set_num_threads(2)
    try:
        again = knn(file, tmp_path / "knn", k=5, index="ivf")
    finally:
        faiss.omp_set_num_threads(1)
    assert_same(again, made)


def test_aiming_at_everything_searches_everything_exactly(faces, file, tmp_path):
    graph = KnnGraph.load(knn(file, tmp_path / "knn", k=5, index="ivf", recall=1.0, min_recall=0.99), faces)
    assert np.mean(graph.neighbors == KnnGraph.build(faces, 5).neighbors) > 0.99


@pytest.mark.parametrize(("index", "blocks"), [("exact", 2), ("ivf", 7), ("ivf", 14), ("ivf", 20), ("ivf", 24)])
def test_killed_run_goes_on_to_the_same_bits(file, tmp_path, monkeypatch, index, blocks, in_processes):
    in_processes(tmp_path, KILLED, file, tmp_path / "killed", blocks, index, ends=[-signal.SIGKILL])
    assert not (tmp_path / "killed").exists()
    for name, value in (("LEAST_ROWS", 500), ("CHEAP", 1)):
        monkeypatch.setattr(f"clustering.graph.blocks_on_disk.{name}", value)
    second = SecondSearchSettings(most=60)  # so that there is a last round
    settings = ApproximateSettings(probed=2, cells=CellSettings(rows=20), second=second)
    monkeypatch.setattr("clustering.graph.approximate.ApproximateSettings", lambda: settings)
    straight = knn(file, tmp_path / "straight", k=5, index=index)
    assert len(list((tmp_path / "killed.partial").rglob("finished/*"))) == blocks
    assert_same(knn(file, tmp_path / "killed", k=5, index=index), straight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": "hnsw"}, "--index hnsw; choose one of auto, exact, ivf"),
        ({"recall": 1.5}, r"--recall is 1.5; it is a share"),
        ({"min_recall": -1}, r"--min-recall is -1; it is a share"),
    ],
)
def test_options_that_are_none(file, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        knn(file, tmp_path / "knn", **options)
    assert not (tmp_path / "knn.partial").exists()


def test_few_faces_are_for_exact_search(tmp_path):
    np.save(tmp_path / "few.npy", np.eye(20, dtype=np.float32))
    with pytest.raises(
        InputError, match="--index ivf with 20 readable faces; it needs more than 1000; use --index exact"
    ):
        knn(tmp_path / "few.npy", tmp_path / "knn", k=3, index="ivf")
    with pytest.raises(InputError, match="it needs more than 1000"):
        make_graph(load_embeddings(tmp_path / "few.npy"), tmp_path / "graph", 3, "ivf")
    assert not (tmp_path / "graph").exists()


def test_a_graph_that_misses_too_much_is_refused_unless_asked(file, tmp_path, monkeypatch):
    few = ApproximateSettings(
        probed=1, links=1, back_links=0, cells=CellSettings(rows=20), second=SecondSearchSettings((2,), 0)
    )
    monkeypatch.setattr("clustering.graph.approximate.ApproximateSettings", lambda: few)
    options = {"k": 5, "index": "ivf", "recall": 0.0}
    with pytest.raises(
        InputError,
        match=r"recall@5 of the ivf graph is 0\.\d{4} of neighbours above chance, on a sample, below --min-recall 0.95",
    ):
        knn(file, tmp_path / "knn", **options)
    assert not (tmp_path / "knn").exists()
    results = json.loads((knn(file, tmp_path / "knn", min_recall=0, **options) / "meta.json").read_text())["results"]
    assert results["recall@5_above_chance"] < 0.95


def assert_same(one: Path, other: Path) -> None:
    for name in ("neighbors.npy", "similarities.npy"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
