"""The Python API: what somebody meets who imports `clustering`."""

from __future__ import annotations

import ast
import importlib.util
import json
import logging
import pydoc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

import clustering
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.registry import BACKENDS, backend
from clustering.commands.assign import assign
from clustering.commands.cluster import cluster
from clustering.graph.knn_graph import KnnGraph
from clustering.learning import tuning
from clustering.learning.calibration import Calibration
from clustering.learning.tuning import Tuning
from clustering.similarity.confidence import Confidence
from eval.clusters import scores
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError
from facerec.pipeline.label_files import load_labels

ROOT = Path(clustering.__file__).parent


def angles(*degrees: float) -> np.ndarray:
    """Float64 [n, 2]: unit vectors."""
    return np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))], axis=1)


def test_clusters_by_hand():
    """Cosines: .985 at 10 degrees, .087 at 85."""
    X = angles(0, 10, 95, 105, 200)
    clusterer = clustering.Dbscan(min_similarity=0.9)
    np.testing.assert_array_equal(clusterer.fit_predict(X), [0, 0, 1, 1, -1])
    np.testing.assert_array_equal(clusterer.labels_, [0, 0, 1, 1, -1])
    np.testing.assert_array_equal(clusterer.confidence_, np.array([1, 1, 1, 1, 0], np.float32))
    np.testing.assert_array_equal(clusterer.hierarchy_.cut(0), clusterer.labels_)
    np.testing.assert_array_equal(clusterer.predict(angles(5, 100, 300, 301, 150)), [0, 1, 2, 2, -1])
    assert repr(clusterer.hierarchy_) == "<Hierarchy of 5 faces: 2 clusters>"
    assert repr(KnnGraph.build(X, 2)) == "<KnnGraph: 2 neighbours of 5 faces>"
    assert clusterer.labels_.dtype == np.int64


def test_the_hierarchy_stays_as_it_is_where_somebody_changes_the_labels():
    clusterer = clustering.Dbscan(min_similarity=0.9)
    labels = clusterer.fit_predict(angles(0, 10, 95))
    labels[:] = -1
    np.testing.assert_array_equal(clusterer.hierarchy_.cut(0), [0, 0, -1])


def test_the_packaged_model_finds_people_of_another_recogniser(real):
    X, truth = real("lfw112")
    clusterer = clustering.HiLander.from_pretrained()
    labels = clusterer.fit_predict(X)
    assert scores(truth, labels)["pairwise_f"] > 0.9
    levels = [clusterer.hierarchy_.cut(level).max() + 1 for level in range(len(clusterer.hierarchy_.levels))]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == labels.max() + 1 <= levels[0] < len(X)
    np.testing.assert_array_equal(clusterer.hierarchy_.cut(len(levels) - 1), labels)
    assert 0.5 < clusterer.confidence_.mean() <= 1


def test_without_arguments_it_is_the_packaged_model(blobs):
    default, packaged = clustering.HiLander(), clustering.HiLander.from_pretrained()
    plain, expected = ({k: v for k, v in each.get_params().items() if k != "model"} for each in (default, packaged))
    assert plain == expected
    X, _ = blobs(spread=0.8)
    np.testing.assert_array_equal(default.fit_predict(X), packaged.fit_predict(X))


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.astype(np.float64),
        lambda X: np.asfortranarray(X),
        lambda X: 20 * X,
        lambda X: X * np.geomspace(1e-9, 1e9, len(X))[:, None],
        lambda X: X.tolist(),
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: KnnGraph.build(X, 10),
    ],
    ids=["float64", "fortran", "longer", "all lengths", "lists", "strided", "graph"],
)
def test_arrays_of_any_type_length_and_order(change, blobs):
    X, _ = blobs(spread=0.8)
    expected = clustering.HiLander().fit_predict(X)
    np.testing.assert_array_equal(clustering.HiLander().fit_predict(change(X)), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.int8, np.uint8])
def test_coarse_types_keep_the_clusters(dtype, blobs):
    X, truth = blobs(identities=5, spread=0.1)
    X = X + 1 if dtype == np.uint8 else X
    found = clustering.HacAverage(0.98 if dtype == np.uint8 else 0.8).fit_predict((100 * X).astype(dtype))
    np.testing.assert_array_equal(found, truth)


def test_the_packaged_model_does_not_depend_on_the_default_type_of_torch(blobs):
    embeddings, _ = blobs(identities=8, faces=10, spread=0.5)
    labels = clustering.HiLander.from_pretrained().fit_predict(embeddings)
    torch.set_default_dtype(torch.float64)
    try:
        found = clustering.HiLander.from_pretrained().fit_predict(embeddings)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, labels)


def test_a_read_only_memory_map_stays_one_and_as_it_is(blobs, tmp_path):
    X, truth = blobs(identities=5, spread=0.1)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    clusterer = clustering.Finch(0.7).fit(mapped)
    np.testing.assert_array_equal(clusterer.labels_, truth)
    assert np.shares_memory(clusterer.embeddings_, mapped)
    np.testing.assert_array_equal(mapped, X)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_faces_than_neighbours(n):
    X = angles(*np.linspace(0, 4, n))
    for each in (clustering.Dbscan(min_samples=1), clustering.HiLander(), clustering.KMeans(), clustering.HacSingle()):
        np.testing.assert_array_equal(each.fit_predict(X), 0)


def test_a_zero_row_is_a_face_that_could_not_be_read():
    X = angles(0, 1, 90, 91)
    X[1] = 0
    np.testing.assert_array_equal(clustering.Components(0.9).fit_predict(X), [0, -1, 1, 1])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1, 0], [0, np.nan]], "embeddings: row 1 has NaN or infinite values"),
        ([[1, 0], [0, 1], [-np.inf, 0]], "embeddings: row 2 has NaN or infinite values"),
        ([1.0, 2.0], r"embeddings: float64 of shape \[2\]; expected numbers \[n, d\]"),
        (np.zeros((0, 4)), r"embeddings: float64 of shape \[0, 4\]; expected at least one face"),
        ([["a", "b"]], "embeddings: <U1 of shape"),
    ],
)
def test_refused_arrays(X, message):
    with pytest.raises(InputError, match=message):
        clustering.Dbscan().fit(X)
    with pytest.raises(InputError, match=message):
        clustering.Dbscan().fit(angles(0, 1)).predict(X)
    with pytest.raises(InputError, match=message):
        clustering.KMeans.learn(X, np.zeros(len(X), int))


def test_predict_needs_clusters_and_embeddings_of_their_length():
    with pytest.raises(InputError, match="Dbscan has no clusters yet; call fit first"):
        clustering.Dbscan().predict(angles(0))
    with pytest.raises(InputError, match="embeddings of length 3, those that were fitted of 2"):
        clustering.Dbscan().fit(angles(0, 1)).predict(np.eye(3))


def test_the_commands_do_the_same(blobs, tmp_path):
    X, _ = blobs(identities=20, spread=0.7)
    np.save(tmp_path / "old.npy", X[::2])
    np.save(tmp_path / "new.npy", X[1::2])
    out = cluster("hilander", tmp_path / "old.npy", tmp_path / "clusters")
    clusterer = clustering.load("hilander")
    np.testing.assert_array_equal(clusterer.fit_predict(X[::2]), np.load(out / "labels.npy"))
    np.testing.assert_array_equal(clusterer.confidence_, np.load(out / "confidence.npy"))
    added = assign(out, tmp_path / "old.npy", tmp_path / "new.npy", tmp_path / "added")
    np.testing.assert_array_equal(clusterer.predict(X[1::2]), np.load(added / "labels.npy"))


def test_what_the_backend_warns_of_is_logged(monkeypatch, caplog, blobs):
    monkeypatch.setattr("clustering.backends.hilander.hilander.mixed", lambda *_: True)
    with caplog.at_level(logging.WARNING, "clustering"):
        clustering.HiLander().fit(blobs()[0])
    assert "the largest clusters are mixtures of people" in caplog.text


def test_tuned_saved_and_loaded(blobs, tmp_path):
    X, y = blobs(identities=14, faces=10, spread=0.5)
    best = clustering.tune("dbscan", 3 * X, np.where(y == 0, -1, y), trials=9, seed=0)
    assert isinstance(best, clustering.Dbscan)
    assert isinstance(best.tuning_, Tuning)
    rows = best.tuning_.trials
    assert len(rows) == 9
    assert best.tuning_.best["score"] >= 0.99 * max(row["score"] for row in rows) > rows[0]["score"]
    best.tuning_.save(str(tmp_path / "search.csv"))
    assert len((tmp_path / "search.csv").read_text().splitlines()) == 10
    best.save_pretrained(tmp_path / "a" / "tuned")
    loaded = clustering.Dbscan.from_pretrained(str(tmp_path / "a" / "tuned"))
    assert loaded.get_params() == best.get_params() == clustering.load("dbscan", tmp_path / "a/tuned").get_params()
    with pytest.raises(InputError, match="not a model of finch; its first line must be 'backend: finch'"):
        clustering.Finch.from_pretrained(tmp_path / "a" / "tuned")


def test_the_packaged_model_is_taken_where_training_brings_less(blobs, monkeypatch):
    X, y = blobs(identities=12, faces=6, spread=0.4)
    monkeypatch.setattr(clustering.HiLander, "learn", classmethod(lambda cls, *_, **__: cls(LinkageModel())))
    best = clustering.tune("hilander", X, y, trials=2)
    assert best.tuning_.training == {"packaged": True}
    assert [row["training"] for row in best.tuning_.trials] == [0, 0, 1, 1]
    packaged = clustering.HiLander.from_pretrained().model
    assert torch.equal(best.model.edge_mlp.weight, packaged.edge_mlp.weight)
    given = clustering.tune("hilander", X, y, trials=2, trainings=[{}])
    assert given.tuning_.training == {}
    assert given.tuning_.calibration is not None


@pytest.mark.parametrize("fewest", [6, 7])
def test_the_packaged_confidence_stays_where_few_people_would_measure_a_worse_one(blobs, monkeypatch, caplog, fewest):
    rows = [{"training": i, "p_tau": 0.6, "k": 10, "score": 0.5, "precision": 0.5} for i in range(2)]
    measured = Calibration(Confidence(), {})
    monkeypatch.setattr(tuning, "trials_of_all", lambda *_: rows)
    monkeypatch.setattr(tuning, "calibrate", lambda *_: measured)
    monkeypatch.setattr(tuning, "FEWEST_CALIBRATED", fewest)
    monkeypatch.setattr(clustering.HiLander, "learn", classmethod(lambda cls, *_, **__: cls(LinkageModel())))
    with caplog.at_level(logging.INFO, "clustering"):
        best = clustering.tune("hilander", *blobs(identities=12, faces=2))
    stays, packaged = fewest == 7, clustering.HiLander.from_pretrained().confidence
    assert best.confidence == (packaged if stays else measured.confidence)
    assert best.tuning_.calibration == (None if stays else measured)
    assert ("the confidence stays that of the package, as 6 people are too few" in caplog.text) == stays


def test_networks_learn_from_arrays(blobs, tmp_path):
    X, y = blobs(identities=6)
    learned = clustering.GcnV.learn(X, y, seed=0, epochs=6, k=6)
    labels = learned.fit_predict(X)
    assert scores(y, labels)["bcubed_f"] > 0.6
    learned.save_pretrained(tmp_path)
    np.testing.assert_array_equal(clustering.GcnV.from_pretrained(tmp_path).fit_predict(X), labels)
    with pytest.raises(InputError, match="gcn_v needs a model trained on labelled faces"):
        clustering.GcnV.from_pretrained()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"identities are int64 of shape \[2\] for 4 faces"),
        ([0.0, 0, 1, 1], "identities are float64"),
        ([-1] * 4, "no face that is readable and of known identity"),
    ],
)
def test_refused_identities(y, message):
    with pytest.raises(InputError, match=message):
        clustering.KMeans.learn(np.eye(4), np.array(y))


@pytest.mark.parametrize(("y", "repeated"), [([0] * 4, 1), ([0, 1, 2, 3], 0), ([0, 0, 1, -1], 1)])
def test_two_people_with_two_faces_are_needed_to_tune(y, repeated):
    with pytest.raises(InputError, match=f"y: {counted(repeated, 'identity')} with two faces or more; at least two"):
        clustering.tune("dbscan", np.eye(4), np.array(y))


@pytest.mark.parametrize("learns", [clustering.HiLander, clustering.GcnV])
@pytest.mark.parametrize("y", [[0] * 4, [0, 1, 2, 3], [0, -1, -1, -1]])
def test_no_network_learns_from_people_of_one_face_or_from_one_person(learns, y):
    with pytest.raises(InputError, match="y: [01] identit(y|ies) with two faces or more; at least two are needed"):
        learns.learn(np.eye(4), y, epochs=1)


def test_what_is_learned_leaves_out_faces_of_unknown_identity():
    assert clustering.KMeans.learn(np.eye(5), np.array([0, 0, 0, 1, -1])).faces_per_cluster == 2


def test_names_are_all_there_and_found_by_help():
    there = [name for name in clustering.__all__ if name != "PseudoLabeller" or pseudo_labeller()]
    assert {backend(name) for name in BACKENDS} <= {getattr(clustering, name) for name in there}
    assert set(clustering.__all__) <= set(dir(clustering))
    text = pydoc.plain(pydoc.render_doc(clustering)) if pseudo_labeller() else clustering.__doc__
    assert [name for name in there if name not in text] == []
    with pytest.raises(AttributeError, match="module 'clustering' has no attribute 'HiLandr'; it has Aro, Components"):
        _ = clustering.HiLandr


def pseudo_labeller() -> bool:
    return importlib.util.find_spec("clustering.pseudolabels.pseudo_labeller") is not None


def test_type_checkers_see_the_same_names():
    (block,) = (node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If))
    named = {alias.asname for node in block.body for alias in node.names}
    assert named | {"PseudoLabeller"} == set(clustering.__all__)
    assert (ROOT / "py.typed").exists()


def test_the_import_takes_nothing_with_it():
    heavy = ["torch", "faiss", "sklearn", "matplotlib", "scipy", "numpy"]
    code = f"import sys, clustering; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


GRAPH = KnnGraph.build(angles(0, 1, 90), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"similarities": GRAPH.similarities[:2]}, r"\[3, 2\], \[3, 2\], \[2, 2\]; expected shapes"),
        ({"embeddings": None}, r"\[\], \[3, 2\], \[3, 2\]; expected shapes"),
        ({"embeddings": 2 * GRAPH.embeddings}, "not float32 rows of unit length; KnnGraph.build normalises them"),
        ({"neighbors": GRAPH.neighbors * 1.0}, "neighbors are float64, similarities float32; expected ints, floats"),
        ({"neighbors": GRAPH.neighbors + 2}, "neighbors: neighbour 3 of 3 rows; rebuild the graph"),
        ({"neighbors": np.tile([[0], [1], [2]], 2)}, "neighbors: row 0 is its own neighbour; rebuild without self"),
        ({"neighbors": GRAPH.neighbors[:, [0, 0]]}, "neighbors: row 0 has a neighbour twice; rebuild the graph"),
        ({"similarities": GRAPH.similarities * np.nan}, r"similarities: NaN or values beyond \[-1, 1\]"),
        ({"embeddings": GRAPH.embeddings[::-1]}, "similarities: row 0: .* the graph is of other faces"),
        (
            {"similarities": 1 - GRAPH.similarities},
            "similarities: row 0: .* the graph is of other faces, or of another",
        ),
        (
            {"neighbors": GRAPH.neighbors[:, ::-1], "similarities": GRAPH.similarities[:, ::-1]},
            "similarities: row 0 ascends; the nearest neighbour, of the highest cosine, comes first",
        ),
        (
            {"neighbors": GRAPH.neighbors[:, :0], "similarities": GRAPH.similarities[:, :0]},
            r"neighbors: shape \[3, 0\]",
        ),
    ],
)
def test_graphs_made_by_hand_are_checked(change, message):
    with pytest.raises(InputError, match=message):
        clustering.Dbscan().fit(replace(GRAPH, **change))


@pytest.mark.parametrize(
    ("ids", "floats"), [(np.uint16, np.float32), (np.uint64, np.float16), (np.int64, np.longdouble)]
)
def test_graphs_of_any_types_of_numbers(ids, floats):
    X = angles(*range(0, 20, 3), *range(90, 110, 3))
    graph = KnnGraph.build(X, 3)
    other = KnnGraph(graph.embeddings, graph.neighbors.astype(ids), graph.similarities.astype(floats))
    for each in (clustering.Hdbscan(), clustering.Dbscan(0.99), clustering.HiLander(), clustering.Aro()):
        np.testing.assert_array_equal(each.fit_predict(other), each.fit_predict(graph))
    found = [clustering.PseudoLabeller().fit_transform(each, np.arange(14) // 7)[0] for each in (other, graph)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("neighbors", "faces", "says"), [(5, 30, True), (10, 30, False), (5, 6, False)])
def test_a_graph_of_few_neighbours_is_told(blobs, caplog, neighbors, faces, says):
    graph = KnnGraph.build(blobs(identities=3, faces=faces // 3)[0], neighbors)
    clustering.Dbscan(k=10).fit(graph)
    assert ("X: has 5 neighbours a face, but the backend's settings were chosen with 10" in caplog.text) is says


def test_pseudo_labels_check_a_graph_that_was_made_by_hand():
    moved = replace(GRAPH, embeddings=GRAPH.embeddings[::-1])
    with pytest.raises(InputError, match="similarities: row 0: .* the graph is of other faces, or of another order"):
        clustering.PseudoLabeller().fit_transform(moved, [0, 0, 1])


def test_graphs_and_hierarchies_are_equal_to_themselves_alone():
    made = GRAPH, replace(GRAPH, similarities=GRAPH.similarities.copy())
    levels = [{"labels": np.arange(3)}], [{"labels": np.arange(3)}]
    for one, other in (made, map(clustering.Hierarchy, levels)):
        assert one != other
        assert len({one, other, one}) == 2


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, np.array([1, 2]), 10**9])
def test_numbers_of_neighbours_that_cannot_be(k):
    with pytest.raises(InputError, match=r"k is .*; it must be a whole number from 1 to 16384"):
        KnnGraph.build(angles(0, 1), k)


def test_more_neighbours_than_there_are_stay_as_they_are():
    assert GRAPH.narrowed(10**9).k == 2
    with pytest.raises(InputError, match="k is -1; it must be a whole number from 1 on"):
        GRAPH.narrowed(-1)


@pytest.mark.parametrize("level", [1, -1, 0.5, "0", None])
def test_levels_that_are_not_there(level):
    with pytest.raises(InputError, match="level is .*; the clustering has levels 0 to 0"):
        clustering.Hierarchy([{"labels": np.arange(3)}]).cut(level)


@pytest.mark.parametrize(
    "levels",
    [
        [], [{}], [{"labels": np.arange(3)}, {"labels": np.arange(2)}], [{"labels": [0]}],
        [{"labels": np.array(["a"])}], [{"labels": np.array([0.5])}], [{"labels": torch.tensor([0, 1])}],
    ],
)  # fmt: skip
def test_what_is_no_hierarchy(levels):
    with pytest.raises(InputError, match="expected levels, each with the 'labels' of the same faces"):
        clustering.Hierarchy(levels)


def test_numbers_of_numpy_are_settings_too(tmp_path):
    clusterer = clustering.Dbscan(min_similarity=np.float64(0.75), min_samples=np.int64(3)).set_params(k=np.int32(5))
    clusterer.save_pretrained(tmp_path)
    assert clustering.load("dbscan", tmp_path).get_params() == clusterer.get_params()
    assert KnnGraph.build(angles(0, 1, 90), np.int64(1)).k == 1


def test_settings_that_were_assigned_are_checked_too():
    clusterer, labeller = clustering.Dbscan(), clustering.PseudoLabeller()
    clusterer.min_similarity, labeller.min_size = 60, np.int64(2)
    with pytest.raises(InputError, match="min_similarity is 60; it must be a number from -1 to 1"):
        clusterer.fit(angles(0, 1, 90))
    single = clustering.Lander()
    single.levels = 2
    with pytest.raises(InputError, match="levels is 2; lander has 1"):
        single.fit(angles(0, 1, 90))
    labeller.fit_transform(None, [0, 0, 1])
    assert json.dumps(labeller.summary_["min_size"]) == "2"
    labeller.rules = ["spilt"]
    with pytest.raises(InputError, match="a rule is 'spilt'; it must be one of split"):
        labeller.fit_transform(angles(0, 1, 90), [0, 0, 1])


def test_a_pseudo_labeller_is_cloned_and_changed():
    labeller = clone(clustering.PseudoLabeller(min_size=3, rules=["split"])).set_params(min_size=4)
    assert labeller == clustering.PseudoLabeller(min_size=4, rules=["split"])
    with pytest.raises(InputError, match="PseudoLabeller has no setting radius; PseudoLabeller has min_size, max_size"):
        labeller.set_params(radius=1)


def test_long_doubles_and_matrices_are_numbers():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(angles(0, 1, 90))
    np.testing.assert_array_equal(clustering.Dbscan().fit_predict(matrix), [0, 0, -1])
    np.testing.assert_array_equal(clustering.Dbscan().fit_predict(angles(0, 1, 90).astype(np.longdouble)), [0, 0, -1])


LABELLED = np.eye(4), [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: clustering.GcnV().fit(angles(0, 1)),
            r"no model, but None; make one with GcnV.learn\(X, y\)",
        ),
        (
            lambda: clustering.HiLander("folder").fit(angles(0, 1)),
            r"but 'folder'; .*HiLander.from_pretrained\(folder\)",
        ),
        (lambda: clustering.load(["dbscan"]), r"backend \['dbscan'\] is unknown; there are aro"),
        (
            lambda: clustering.Dbscan().with_settings(radius=1),
            "dbscan has no setting radius; dbscan has",
        ),
        (
            lambda: clustering.KMeans.learn(angles(0, 1), [0, 0], seed=1.5),
            "seed is 1.5; it must be a whole number from 0",
        ),
        (lambda: clustering.Dbscan().fit([[1], [1, 2]]), "embeddings: no array of numbers"),
        (lambda: KnnGraph.build(np.zeros((0, 3)), 2), r"float64 of shape \[0, 3\]; expected at least one face"),
        (lambda: clustering.PseudoLabeller(rules=3), "rules is 3; it must be a list of split, merge, outliers"),
        (lambda: clustering.Dbscan.from_pretrained(3), "folder is 3; give a path"),
        (lambda: clustering.Dbscan().save_pretrained(None), "folder is None; give a path"),
        (lambda: KnnGraph.load(None, angles(0, 1)), "folder is None; give a path"),
        (lambda: KnnGraph.load("graph", None), r"embeddings: None; expected a float32 array \[n, d\]"),
        (lambda: load_labels("labels.npy", "3"), "rows is '3'; it must be a whole number"),
        (lambda: load_embeddings("e.npy", scratch=3), "scratch is 3; give a path"),
        (lambda: load_embeddings(3), "embeddings is 3; give a path"),
        (lambda: clustering.Hierarchy.load([]), r"clusters is \[\]; give a path"),
        (lambda: clustering.Hierarchy(3), "levels is 3; expected a list of levels"),
        (lambda: clustering.tune("dbscan", *LABELLED, trials="3"), "trials is '3'; it must be a whole number from 1"),
        (lambda: clustering.tune("dbscan", *LABELLED, trainings=np.zeros(3)), "trainings is .*; expected a list of"),
        (lambda: clustering.PseudoLabeller(min_confidence=None), "min_confidence is None; it must be a number from 0"),
    ],
)
def test_slips_of_the_pen(made, message):
    with pytest.raises(InputError, match=message):
        made()
