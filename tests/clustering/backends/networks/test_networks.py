"""The graph networks against slow code that goes node by node, and their model folders."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from clustering.backends.networks.gcn_e import ConfidenceAndConnectivity, GcnE, subgraphs
from clustering.backends.networks.gcn_v import ConfidenceNetwork, GcnV, convolved, linked, true_confidence
from clustering.backends.networks.learned import SubgraphNetwork, row_normalized
from clustering.backends.networks.lgcn import (
    LINKS,
    SECOND_HOP,
    Lgcn,
    LinkNetwork,
    instance_graphs,
    instance_nodes,
    propagated,
)
from clustering.graph.denser import denser
from clustering.graph.edges import Edges
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.tuning import Version, run_trials, tune
from clustering.partition import consecutive
from eval.clusters import scores
from facerec.pipeline.files import InputError, write_yaml

CPU = torch.device("cpu")
QUICK = {"epochs": 2, "width": 8}


def graph_with_gaps(embeddings: np.ndarray, k: int = 4) -> KnnGraph:
    graph = KnnGraph.build(embeddings, k)
    neighbors, similarities = graph.neighbors.copy(), graph.similarities.copy()
    neighbors[5:9, 2:], similarities[5:9, 2:] = -1, 0
    neighbors[10], similarities[10] = -1, 0
    return KnnGraph(embeddings, neighbors, similarities)


@pytest.fixture
def graph(blobs) -> KnnGraph:
    return graph_with_gaps(blobs(identities=6, faces=6, spread=1.5, dimension=5)[0])


def listed(graph: KnnGraph, i: int) -> list[tuple[int, float]]:
    return [(int(j), float(a)) for j, a in zip(graph.neighbors[i], graph.similarities[i], strict=True) if j >= 0]


def test_convolution_equals_slow_code(graph):
    found = convolved(graph)
    for i, own in enumerate(graph.embeddings):
        positive = [(j, max(a, 0)) for j, a in listed(graph, i)]
        total = own + sum((a * graph.embeddings[j] for j, a in positive), np.zeros(5))
        degree = 1 + sum(a for _, a in positive)
        cosine = np.mean([a for _, a in positive]) if positive else 0
        np.testing.assert_allclose(found[i], [*own, *(total / degree), cosine], atol=1e-5)


def test_true_confidence_by_hand():
    neighbors = np.array([[1, 2], [0, -1], [1, 0]], np.int32)
    similarities = np.array([[0.9, 0.5], [0.9, 0], [0.6, 0.5]], np.float32)
    graph = KnnGraph(np.eye(3, dtype=np.float32), neighbors, similarities)
    np.testing.assert_allclose(true_confidence(graph, np.array([7, 7, 8])), [0.2, 0.9, -0.55], atol=1e-6)


def test_links_equal_slow_code(graph):
    confidence = np.random.default_rng(0).random(len(graph)).round(1).astype(np.float32)  # with ties
    score = np.random.default_rng(1).random(graph.neighbors.shape).astype(np.float32)
    parents = {}
    for i in range(len(graph)):
        options = [
            (score[i, c], j)
            for c, j in enumerate(graph.neighbors[i])
            if j >= 0 and score[i, c] >= 0.3 and (confidence[j], -j) > (confidence[i], -i)
        ]
        parents[i] = max(options)[1] if options else i
    roots = []
    for i in range(len(graph)):
        while parents[i] != i:
            i = parents[i]
        roots.append(i)
    np.testing.assert_array_equal(linked(graph, confidence, score, 0.3).labels, consecutive(np.array(roots)))


def slow_forward(network: SubgraphNetwork, features: np.ndarray, adjacency: np.ndarray) -> list[float]:
    """One graph, node by node, with the adjacency not yet normalised."""
    hidden = [torch.tensor(row, dtype=torch.float32) for row in features]
    for layer in network.layers:
        means = []
        for i in range(len(hidden)):
            total = adjacency[i].sum()
            mean = sum((hidden[j] * float(adjacency[i, j]) for j in range(len(hidden))), torch.zeros_like(hidden[0]))
            means.append(mean / float(total) if total > 0 else torch.zeros_like(hidden[0]))
        hidden = [torch.relu(layer(torch.cat([h, mean]))) for h, mean in zip(hidden, means, strict=True)]
    return [network.head(h).item() for h in hidden]


def test_connectivity_equals_slow_code(graph):
    torch.manual_seed(0)
    model = ConfidenceAndConnectivity(5, 8, 8)
    found = model.estimate(graph)
    confidence = model.vertices.estimate(graph)
    np.testing.assert_array_equal(found[:, 0], confidence)
    compared = 0
    for i in range(len(graph)):
        columns = [c for c, j in enumerate(graph.neighbors[i]) if j >= 0 and (confidence[j], -j) > (confidence[i], -i)]
        faces = graph.embeddings[graph.neighbors[i, columns]]
        features = [[*(face - graph.embeddings[i]), face @ graph.embeddings[i]] for face in faces]
        logits = slow_forward(model.edges, np.array(features), np.maximum(faces @ faces.T, 0))
        expected = np.zeros(graph.k)
        expected[columns] = 1 / (1 + np.exp(-np.array(logits)))
        np.testing.assert_allclose(found[i, 1:], expected, atol=1e-5)
        compared += len(columns)
    assert compared > 20


def test_subgraphs_leave_out_faces_that_are_less_sure(graph):
    candidates = denser(graph, np.arange(len(graph), dtype=np.float32))
    features, adjacency = subgraphs(graph, np.arange(len(graph)), candidates, CPU)
    out = torch.from_numpy(~candidates)
    assert torch.all(features[out] == 0)
    assert torch.all(adjacency[out] == 0)
    sums = adjacency.sum(dim=2)[~out]
    torch.testing.assert_close(sums, torch.ones_like(sums))


def slow_instance(graph: KnnGraph, pivot: int) -> list[int]:
    nodes = [pivot, *(j for j, _ in listed(graph, pivot))]
    for j, _ in listed(graph, pivot):
        nodes += [int(q) for q in graph.neighbors[j, :SECOND_HOP] if q >= 0]
    return list(dict.fromkeys(nodes))


def test_instance_graphs_equal_slow_code(graph):
    torch.manual_seed(0)
    model = LinkNetwork(5, 8)
    linkage = model.estimate(graph)
    for pivot in range(len(graph)):
        nodes = slow_instance(graph, pivot)
        rows = np.array([pivot])
        found = instance_nodes(graph, rows)
        assert set(found[found >= 0]) == set(nodes)
        assert len(found[found >= 0]) == len(nodes)
        near = [set(graph.neighbors[q, :LINKS][graph.neighbors[q, :LINKS] >= 0].tolist()) for q in nodes]
        edges = np.array(
            [[float(b in near[i] or a in near[j]) for j, b in enumerate(nodes)] for i, a in enumerate(nodes)]
        )
        features = [
            [*(graph.embeddings[q] - graph.embeddings[pivot]), graph.embeddings[q] @ graph.embeddings[pivot]]
            for q in nodes
        ]
        logits = dict(zip(nodes, slow_forward(model.edges, np.array(features), edges), strict=True))
        for column, q in enumerate(graph.neighbors[pivot]):
            expected = 0 if q < 0 else 1 / (1 + np.exp(-logits[int(q)]))
            assert linkage[pivot, column] == pytest.approx(expected, abs=1e-5)


def test_an_instance_graph_has_no_edges_to_missing_nodes(graph):
    nodes = instance_nodes(graph, np.arange(len(graph)))
    features, adjacency = instance_graphs(graph, np.arange(len(graph)), nodes, CPU)
    gone = torch.from_numpy(nodes < 0)
    assert gone.any()
    assert torch.all(features[gone] == 0)
    assert torch.all(adjacency[gone] == 0)
    assert torch.all(adjacency.transpose(1, 2)[gone] == 0)


def test_rows_sum_up_to_one_or_are_empty():
    torch.testing.assert_close(
        row_normalized(torch.tensor([[1.0, 3.0], [0.0, 0.0]])), torch.tensor([[0.25, 0.75], [0.0, 0.0]])
    )


def test_propagation_cuts_only_what_is_too_large():
    """A chain of four with a weak middle, and a pair as weak."""
    edges = Edges(
        np.array([0, 1, 2, 4]), np.array([1, 2, 3, 5]), np.array([0.9, 0.5, 0.9, 0.5], np.float32), np.ones(4, bool)
    )
    np.testing.assert_array_equal(propagated(6, edges, 0.4, 4), [0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(propagated(6, edges, 0.4, 3), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(propagated(6, edges, 0.6, 3), [0, 0, 1, 1, 2, 3])


@pytest.mark.parametrize(("backend", "settings"), [(GcnV, {"epochs": 8}), (GcnE, {}), (Lgcn, {"epochs": 6})])
def test_it_learns_to_cluster_other_people(backend, settings, blobs):
    embeddings, labels = blobs(identities=25, faces=10, dimension=32, spread=0.8, seed=1)
    others, truth = blobs(identities=25, faces=10, dimension=32, spread=0.8, seed=2)
    trained = backend.learn(embeddings, labels, 0, k=8, **settings)
    found = trained.cluster(KnnGraph.build(others, 8)).labels
    assert scores(truth, found)["bcubed_f"] > 0.8


def test_seeded(blobs):
    embeddings, labels = blobs()
    first, second, other = (GcnV.learn(embeddings, labels, seed, **QUICK) for seed in (0, 0, 1))
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert any(not torch.equal(a, b) for a, b in zip(first.model.parameters(), other.model.parameters(), strict=True))


def test_tuning_asks_for_the_estimate_of_a_version_once(blobs, monkeypatch):
    trained = GcnV.learn(*blobs(), 0, k=5, **QUICK)
    held = [Version(name, KnnGraph.build(blobs(seed=seed)[0], 10), blobs()[1]) for seed, name in enumerate("ab")]
    asked = []
    estimate = ConfidenceNetwork.estimate
    monkeypatch.setattr(
        ConfidenceNetwork, "estimate", lambda self, graph: asked.append(graph.k) or estimate(self, graph)
    )
    monkeypatch.setattr(GcnV, "search_space", {"min_similarity": (0.2, 0.9), "k": [5, 10]})
    rows = run_trials(trained, held, 9, seed=0)
    assert sorted(asked) == [5, 5, 10, 10]
    row = rows[7]
    trial = trained.with_settings(min_similarity=row["min_similarity"], k=row["k"])
    assert row["a_bcubed_f"] == scores(held[0].labels, trial.cluster(held[0].graph).labels)["bcubed_f"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 3}, "gcn_v has no setting depth; gcn_v has min_similarity, k, width, epochs, learning_rate"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number from 1 on"),
        ({"k": 2.5, **QUICK}, "k is 2.5; it must be a whole number"),
    ],
)
def test_refused_settings(settings, message, blobs):
    with pytest.raises(InputError, match=message):
        GcnV.learn(*blobs(), 0, **settings)


def test_a_name_that_is_no_text_is_no_setting(blobs):
    with pytest.raises(InputError, match="settings: there is no setting 3"):
        tune("gcn_v", *blobs(), trainings=[{3: 4}])


def test_steps_that_are_too_large_are_refused(blobs):
    with pytest.raises(InputError, match=r"GCN-V: the weights are no longer finite; lower learning_rate, now 1e\+30"):
        GcnV.learn(*blobs(), learning_rate=1e30, epochs=3)


def edited(folder, name: str) -> None:
    file = folder / "model.safetensors"
    if name == "missing":
        file.unlink()
    elif name == "truncated":
        file.write_bytes(file.read_bytes()[:50])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("missing", {}, "no such file; train the model again"),
        ("truncated", {}, "not readable as safetensors"),
        ("", {"model": {"dimension": 16, "width": 9}}, r"has shape \(.*\), config.yaml asks for \(.*9"),
        ("", {"model": {"dimension": 16, "width": -1}}, "expected sizes as positive whole numbers"),
        ("", {"model": {"dimension": 16, "depth": 2}}, "model has dimension, depth"),
        ("", {"extra": 1}, "unknown extra; gcn_v has model, min_similarity, k"),
        ("", {"k": None}, "no k; train the model again"),
    ],
)
def test_unusable_model_folders(name, settings, message, blobs, tmp_path):
    GcnV.learn(*blobs(), 0, **QUICK).save_pretrained(tmp_path)
    edited(tmp_path, name)
    good = {"backend": "gcn_v", "min_similarity": 0.5, "k": 5, "model": {"dimension": 16, "width": 8}}
    changed = {key: value for key, value in {**good, **settings}.items() if value is not None}
    write_yaml(tmp_path / "config.yaml", changed)
    with pytest.raises(InputError, match=message):
        GcnV.from_pretrained(tmp_path)


@pytest.mark.parametrize("backend", [GcnV, GcnE, Lgcn])
def test_another_dimension_is_refused(backend, blobs):
    trained = backend(
        {GcnV: ConfidenceNetwork, GcnE: partial(ConfidenceAndConnectivity, edge_width=8), Lgcn: LinkNetwork}[backend](
            dimension=16, width=8
        )
    )
    with pytest.raises(InputError, match="trained on embeddings of 16 dimensions, these have 8"):
        trained.cluster(KnnGraph.build(blobs(dimension=8)[0], 3))
