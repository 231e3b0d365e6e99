"""Hi-LANDER against slow code that follows the paper's equations letter by letter."""

from __future__ import annotations

import math
from functools import partial
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.backends.hilander import level_neighbors as nearest
from clustering.backends.hilander.climb import Features, climb, merge, of_edges, pseudo_density
from clustering.backends.hilander.encoders import EdgeBatch, GraphConvolution
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.hilander import HiLander, packaged
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.backends.hilander.level_neighbors import Nearest
from clustering.backends.hilander.meta_training import (
    TrainingGraph,
    connectivity_loss,
    density_loss,
    loss,
    train_on_levels,
    training_graphs,
    true_linkage,
)
from clustering.graph.candidates import rising
from clustering.graph.denser import decode
from clustering.graph.knn_graph import KnnGraph
from clustering.partition import trees
from eval.clusters import scores
from facerec.pipeline.embeddings import normalize, save_embeddings
from facerec.pipeline.files import InputError


def decode_slowly(graph: KnnGraph, linkage: np.ndarray, density: np.ndarray, p_tau: float) -> list[int]:
    """Equations (5)-(6), one node and one edge at a time."""
    parents = []
    for i in range(len(graph)):
        candidates = {}
        for column, j in enumerate(graph.neighbors[i]):
            if j < 0:
                continue
            denser = density[i] < density[j] or (density[i] == density[j] and j < i)
            if denser and linkage[i, column] >= p_tau:
                candidates[j] = 2 * linkage[i, column] - 1
        parents.append(max(candidates, key=lambda j: candidates[j]) if candidates else i)
    return parents


@st.composite
def problems(draw):
    """A graph with duplicates, missing neighbours and negative cosines; probabilities and densities with many ties."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    embeddings = normalize(random.integers(-1, 2, size=(n, 3)) + 1e-3)
    graph = KnnGraph.build(embeddings, k)
    drop = random.random((n, k)) < 0.2
    graph = KnnGraph(embeddings, np.where(drop, -1, graph.neighbors), np.where(drop, 0, graph.similarities))
    return graph, random.integers(0, 5, (n, k)).astype(np.float32) / 4, random.integers(0, 4, n).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(problem=problems(), p_tau=st.sampled_from([0.0, 0.5, 0.75, 1.0]))
def test_decoding_equals_the_equations_and_is_a_forest(problem, p_tau):
    graph, linkage, density = problem
    parents = decode(graph, linkage, density, p_tau)
    assert parents.tolist() == decode_slowly(graph, linkage, density, p_tau)
    clusters, peaks = trees(parents)
    np.testing.assert_array_equal(parents[peaks], peaks)
    for node in range(len(graph)):
        steps, at = 0, node
        while parents[at] != at:
            at, steps = parents[at], steps + 1
            assert steps <= len(graph)
        assert peaks[clusters[node]] == at


def test_decoding_by_hand():
    graph = KnnGraph(
        np.zeros((4, 2), np.float32),
        np.array([[1, 2], [0, 2], [1, 0], [-1, -1]], np.int32),
        np.ones((4, 2), np.float32),
    )
    linkage = np.array([[0.9, 0.8], [0.9, 0.9], [0.6, 0.7], [1, 1]], np.float32)
    density = np.array([0.1, 0.3, 0.2, 0.9], np.float32)
    # 0 takes 1 (likelier than 2); 1 is densest of its neighbours; 2 may only go to 1, at 0.6; 3 has no neighbour.
    np.testing.assert_array_equal(decode(graph, linkage, density, 0.6), [1, 1, 1, 3])
    np.testing.assert_array_equal(decode(graph, linkage, density, 0.65), [1, 1, 2, 3])


def test_density_by_hand():
    graph = KnnGraph(
        np.zeros((2, 2), np.float32),
        np.array([[1, -1], [0, 1]], np.int32),
        np.array([[0.5, 0], [0.5, -0.2]], np.float32),
    )
    linkage = np.array([[1, 0.3], [0.75, 0]], np.float32)
    # node 0: (1 * .5) / 2; node 1: (.5 * .5 + (-1) * (-.2)) / 2
    np.testing.assert_allclose(pseudo_density(graph, linkage), [0.25, 0.225], atol=1e-7)


@pytest.mark.parametrize("features", get_args(Features))
def test_merge_by_hand(features):
    faces = np.eye(3, dtype=np.float32)
    level = Level.of_faces(KnnGraph.build(faces, 2))
    sums, sizes = np.float32([[1, 0, 0], [0, 1, 1]]), np.float32([1, 2])
    merged = merge(level, np.array([0, 1, 1]), np.array([0, 2]), sums, sizes, features, k=2)
    r = math.sqrt(0.5)
    identity, average = np.eye(3)[[0, 2]], np.array([[1, 0, 0], [0, r, r]])
    expected = {
        "identity": identity, "average": average, "both": np.hstack([identity, average]) * r,
        "reference": np.hstack([identity, [[1, 0, 0], [0, 0.5, 0.5]]]),
    }[features]  # fmt: skip
    np.testing.assert_allclose(merged.graph.embeddings, expected, atol=1e-6)
    np.testing.assert_array_equal(merged.sizes, [1, 2])
    np.testing.assert_array_equal(merged.faces, [0, 2])
    np.testing.assert_array_equal(merged.sums, [[1, 0, 0], [0, 1, 1]])


def test_what_the_model_sees_of_faces():
    faces = np.array([[0.6, 0.8], [1, 0]], np.float32)
    graph = KnnGraph.build(faces, 1)
    assert Level.of_faces(graph).graph.embeddings is faces
    pairs = np.hstack([Level.of_faces(graph, unit_pairs=True).graph.embeddings] * 2)
    np.testing.assert_allclose(np.linalg.norm(pairs, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(pairs, np.hstack([faces, faces]) * math.sqrt(0.5), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 60), k=st.integers(1, 6), seed=st.integers(0, 999), merged=st.sampled_from([0.02, 0.1, 0.4]),
    distinct=st.booleans(),
)  # fmt: skip
def test_updated_neighbours_equal_those_of_a_search(n, k, seed, merged, distinct):
    """Three times some rows go and new ones come; one row is unreadable throughout."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 4)) if distinct else random.integers(-1, 2, size=(n, 2)) + 1e-3
    rows = normalize(rows)
    rows[0] = 0
    lists = Nearest.build(rows, k)
    for _ in range(3):
        kept = np.flatnonzero(random.random(len(rows)) >= merged)
        new = normalize(random.normal(size=(random.integers(0, 4), rows.shape[1])))
        rows = np.vstack([rows[kept], new]).astype(np.float32)
        if not len(rows):
            return
        origin = np.concatenate([kept, np.full(len(new), -1)])
        shuffled = np.argsort(random.integers(0, len(rows), len(rows)) * (origin < 0) + np.arange(len(rows)))
        rows, origin = rows[shuffled], origin[shuffled]
        lists = lists.updated(rows, origin, k)
        expected = KnnGraph.build(rows, 2 * k)
        found = lists.graph
        np.testing.assert_array_equal(found.valid[:, :k], expected.valid[:, :k])
        same = found.valid & expected.valid
        np.testing.assert_allclose(found.similarities[same], expected.similarities[same], atol=1e-6)
        if distinct:
            np.testing.assert_array_equal(found.neighbors[same], expected.neighbors[same])
        beyond = np.where(expected.valid[:, -1], expected.similarities[:, -1], -2)
        assert np.all(lists.bound >= beyond - 1e-6)


def links_slowly(graph: KnnGraph, clusters: np.ndarray) -> list[list[int]]:
    """Of each cluster the others that its nodes have neighbours in, the nearest first."""
    nearest: list[dict[int, float]] = [{} for _ in range(clusters.max() + 1)]
    for i, j, cosine in zip(*graph.valid.nonzero(), graph.similarities[graph.valid], strict=True):
        own, other = clusters[i], clusters[graph.neighbors[i, j]]
        if own != other:
            nearest[own][other] = max(cosine, nearest[own].get(other, -2))
    return [sorted(found, key=lambda other: (-found[other], other)) for found in nearest]


@settings(max_examples=40, deadline=None)
@given(problem=problems(), seed=st.integers(0, 99), links=st.sampled_from([2, 20]))
def test_links_of_clusters_equal_those_found_one_edge_at_a_time(problem, seed, links):
    graph, *_ = problem
    clusters = np.unique(np.random.default_rng(seed).integers(0, 12, len(graph)), return_inverse=True)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "LINKS", links)
        patch.setattr(nearest, "SHARED_ROWS", 5)
        found = nearest.links_of_clusters(graph, clusters)
    assert found.shape == (clusters.max() + 1, links)
    assert [[other for other in row if other >= 0] for row in found.tolist()] == [
        row[:links] for row in links_slowly(graph, clusters)
    ]


def test_rising_numbers_are_in_the_order_of_the_values():
    values = np.array([-np.inf, -1, -1e-40, -0.0, 0, 1e-40, 0.5, np.nextafter(np.float32(0.5), 1), 1], np.float32)
    steps = np.diff(rising(values))
    np.testing.assert_array_equal(steps > 0, np.diff(values) > 0)
    assert steps.min() == 0


def test_linked_neighbours_are_the_nearest_of_the_clusters_that_are_linked_either_way(monkeypatch):
    monkeypatch.setattr(nearest, "SHARED_ROWS", 8)
    random = np.random.default_rng(3)
    graph = KnnGraph.build(normalize(random.normal(size=(60, 4))), 3)
    clusters = np.unique(random.integers(0, 20, 60), return_inverse=True)[1]
    features = normalize(random.normal(size=(clusters.max() + 1, 4)))
    links, found = links_slowly(graph, clusters), Nearest.linked(graph, clusters, features, 2).graph
    for own, row in enumerate(found.neighbors):
        near = {*links[own], *(other for other, theirs in enumerate(links) if own in theirs)}
        best = sorted(near, key=lambda other: -(features[own] @ features[other]))[:4]
        assert [other for other in row if other >= 0] == best
        np.testing.assert_allclose(found.similarities[own, : len(best)], features[best] @ features[own], atol=1e-6)


def test_levels_of_many_nodes_go_by_links_and_small_ones_above_them_are_exact(blobs, monkeypatch):
    graph = KnnGraph.build(blobs(identities=40, faces=12, spread=0.9)[0], 4)

    def link(level: Level) -> np.ndarray:
        return np.where(level.graph.valid, (level.graph.similarities + 1) / 2, 0).astype(np.float32)

    exact = [step.level for step in climb(graph, link, 0.6, "average", 4)]
    assert len(exact) > 3
    monkeypatch.setattr("clustering.backends.hilander.climb.MOST_NODES", len(exact[2].graph))
    linked = [step.level for step in climb(graph, link, 0.6, "average", 4)]
    assert np.all(linked[1].nearest.bound > 1)
    np.testing.assert_array_equal(linked[1].sums, exact[1].sums)
    assert np.mean(linked[1].graph.similarities) <= np.mean(exact[1].graph.similarities)
    for level in linked[2:]:
        if len(level.graph) <= len(exact[2].graph):
            found = KnnGraph.build(level.nearest.graph.embeddings, 4)
            np.testing.assert_array_equal(level.graph.neighbors, found.neighbors)
    assert len(linked[-1].graph) <= len(exact[2].graph)


def test_average_is_over_all_original_faces(blobs):
    embeddings, labels = blobs(identities=6, faces=20, spread=0.8)

    def link(level: Level) -> np.ndarray:
        return true_linkage(level.graph, labels[level.faces])

    *_, last = climb(KnnGraph.build(embeddings, 3), link, 0.5, "average", 3)
    for node, face in enumerate(last.level.faces):
        mean = normalize(embeddings[labels == labels[face]].sum(axis=0, keepdims=True))[0]
        np.testing.assert_allclose(last.level.graph.embeddings[node], mean, atol=1e-5)
        assert last.level.sizes[node] == 20


def training_graph() -> TrainingGraph:
    """Three nodes in a row of similarities .5: 0 and 1 share an identity; node 2's second neighbour is missing."""
    graph = EdgeBatch(
        features=torch.eye(3),
        nodes=slice(None),
        neighbors=torch.tensor([[1, 2], [0, 2], [1, 0]]),
        valid=torch.tensor([[True, True], [True, True], [True, False]]),
        similarities=torch.tensor([[0.5, 0.4], [0.5, 0.2], [0.2, 0.0]]),
        edges=torch.zeros(3, 2, 6),
    )
    same = torch.tensor([[True, False], [True, False], [False, False]])
    counted = torch.tensor([[True, False], [False, False], [True, False]])
    return TrainingGraph(graph, same, torch.tensor([0.05, 0.15, -0.1]), counted)


def test_losses_by_hand():
    graph = training_graph()
    r = torch.tensor([[0.8, 0.3], [0.7, 0.1], [0.4, 0.9]])
    log_probability = torch.stack([1 - r, r], dim=-1).log()
    # Counted are the edges to nodes at least as dense: 0->1 (same), 2->1 (other); five edges in all.
    expected = -(math.log(0.8) + math.log(1 - 0.4)) / 5
    assert connectivity_loss(log_probability, graph).item() == pytest.approx(expected, rel=1e-5)
    densities = [(0.6 * 0.5 - 0.4 * 0.4) / 2, (0.4 * 0.5 - 0.8 * 0.2) / 2, (-0.2 * 0.2) / 2]
    squares = [(a - b) ** 2 for a, b in zip(densities, [0.05, 0.15, -0.1], strict=True)]
    assert density_loss(log_probability, graph).item() == pytest.approx(sum(squares) / 3, rel=1e-5)
    assert loss(log_probability, graph).item() == pytest.approx(expected + sum(squares) / 3, rel=1e-5)


def test_graph_convolution_by_hand():
    layer, graph = GraphConvolution(3, 1), training_graph().graph
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0, 2, 3, 10, 20, 30]]))
        layer.linear.bias.zero_()
    # node 0: itself e0; mean of .5 e1 and .4 e2. Node 2 has one neighbour, e1 at .2.
    expected = [1 + (20 * 0.5 + 30 * 0.4) / 2, 2 + (10 * 0.5 + 30 * 0.2) / 2, 3 + 20 * 0.2]
    np.testing.assert_allclose(layer(graph, layer.parts(graph.features))[:, 0].detach(), expected, rtol=1e-6)
    layer.shares = True
    expected = [1 + (20 * 0.5 + 30 * 0.4) / 0.9, 2 + (10 * 0.5 + 30 * 0.2) / 0.7, 3 + 20]
    np.testing.assert_allclose(layer(graph, layer.parts(graph.features))[:, 0].detach(), expected, rtol=1e-6)


@pytest.mark.parametrize("inputs", ["features", "similarities"])
def test_a_step_takes_the_edges_of_some_nodes_of_a_large_graph(blobs, monkeypatch, inputs):
    embeddings, labels = blobs(identities=10, faces=15, spread=0.9)
    graphs = list(training_graphs(KnnGraph.build(embeddings, 4), labels, "average"))
    sizes, model = [], LinkageModel(inputs, 0 if inputs == "similarities" else 16, width=8, hidden=8)
    monkeypatch.setattr("clustering.backends.hilander.meta_training.STEP_NODES", 50)
    handle = model.head.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    train_on_levels(model, graphs, 2, 0.01, seed=0)
    handle.remove()
    assert sorted(sizes) == sorted(2 * [4 * min(50, len(graph.density)) for graph in graphs])
    rows = torch.tensor([7, 140, 3])
    whole = model(graphs[0].graph)
    torch.testing.assert_close(model(graphs[0].graph, rows), whole[rows])
    part = graphs[0].of_rows(rows)
    np.testing.assert_array_equal(part.same, graphs[0].same[rows])
    np.testing.assert_array_equal(part.counted, graphs[0].counted[rows])


def test_training_graphs_are_pure_and_end_without_true_edges(blobs):
    embeddings, labels = blobs(identities=10, faces=15, spread=0.9)
    graphs = list(training_graphs(KnnGraph.build(embeddings, 4), labels, "average"))
    assert len(graphs) > 2
    assert not graphs[-1].same.any()
    assert graphs[0].same.any()


@pytest.mark.parametrize(
    ("inputs", "features"), [("features", "identity"), ("both", "both"), ("similarities", "average")]
)
def test_every_kind_of_model_learns(blobs, tmp_path, inputs, features):
    embeddings, labels = blobs(identities=15, faces=10, dimension=24, spread=0.6)
    trained = HiLander.learn(
        embeddings, labels, 0, inputs=inputs, features=features, k=5, p_tau=0.7, epochs=4, simulated=0
    )
    unseen, truth = blobs(identities=15, faces=10, dimension=24, spread=0.6, seed=1)
    clusters = trained.cluster(KnnGraph.build(unseen, 5))
    assert scores(truth, clusters.labels)["bcubed_f"] > 0.7
    trained.save_pretrained(tmp_path)
    again = HiLander.learn(
        embeddings, labels, 0, inputs=inputs, features=features, k=5, p_tau=0.7, epochs=4, simulated=0
    )
    np.testing.assert_array_equal(again.cluster(KnnGraph.build(unseen, 5)).labels, clusters.labels)
    if inputs != "similarities":
        with pytest.raises(InputError, match=r"trained on node features of \d+ dimensions, these have"):
            trained.cluster(KnnGraph.build(unseen[:, :8], 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file; train the model again"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 40), "not readable as safetensors"),
        (lambda folder: edit(folder, "hidden: 16", "hidden: 8"), "has shape .* config.yaml asks for"),
        (lambda folder: edit(folder, "inputs: similarities", "inputs: x"), "inputs is 'x'"),
        (lambda folder: edit(folder, "p_tau: 0.5", "p_tau: 5"), "p_tau is 5"),
        (lambda folder: edit(folder, "confidence:", "confident:"), "no confidence"),
        (lambda folder: edit(folder, "  share:", "  shares:"), "confidence is .*; expected offset, cosine"),
        (lambda folder: edit(folder, "  share: ", "  share: ."), "confidence.share is '.*'; it must be a number"),
        (lambda folder: edit(folder, "width: 256", "width: wide"), "expected whole numbers"),
    ],
)
def test_unusable_model_folder(hilander, tmp_path, change, message):
    from clustering.backends.registry import load_clusterer

    hilander.save_pretrained(tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=message):
        load_clusterer("hilander", tmp_path)


def edit(folder, old: str, new: str) -> None:
    text = (folder / "config.yaml").read_text()
    assert old in text
    (folder / "config.yaml").write_text(text.replace(old, new))


def test_unknown_setting(blobs):
    with pytest.raises(
        InputError,
        match="hilander has no setting p_tow; hilander has p_tau, adaptive, merging, inputs, features, k, epochs",
    ):
        HiLander.learn(*blobs(), seed=0, p_tow=1)


def test_missing_neighbours_have_no_probability(blobs):
    embeddings, _ = blobs(faces=2, identities=2)
    linkage = link(LinkageModel(), Level.of_faces(KnnGraph.build(embeddings, 6)))
    assert np.all(linkage[:, 3:] == 0)
    assert np.all(linkage[:, :3] > 0)


def test_to_judge_pairs_the_packaged_weights_go_on_learning_and_stay_as_they_are(blobs):
    faces, few = blobs(identities=12, faces=6), {"epochs": 1, "simulated": 0}
    before = packaged().model.edge_mlp.weight.detach().clone()
    still, moved, edges, narrow = (
        HiLander.learn(*faces, seed=0, **few, **settings).model.edge_mlp.weight.detach()
        for settings in ({"learning_rate": 1e-12}, {}, {"merging": "edges"}, {"hidden": 16})
    )
    torch.testing.assert_close(still, before, rtol=0, atol=1e-6)
    assert 1e-4 < (moved - before).abs().max() < 0.1
    assert (edges - before).abs().max() > 0.1
    assert len(narrow) == 16
    assert torch.equal(packaged().model.edge_mlp.weight, before)


def test_trained_on_one_real_set_it_clusters_another(real):
    embeddings, labels = real("celeba299")
    some = np.isin(labels, np.unique(labels)[:100])
    trained = HiLander.learn(embeddings[some], labels[some], seed=0, simulated=1, epochs=2)
    embeddings, truth = real("lfw112")
    figures = scores(truth, trained.cluster(KnnGraph.build(embeddings, 10)).labels)
    assert figures["pairwise_f"] > 0.93
    assert figures["bcubed_f"] > 0.92


def hilander_of(inputs: str) -> HiLander:
    torch.manual_seed(0)
    return HiLander(
        LinkageModel(inputs, 0 if inputs == "similarities" else 8, width=8, hidden=8), k=4, p_tau=0.9, adaptive=False
    )


KINDS = ["similarities", "features", "both"]


@pytest.mark.parametrize("inputs", KINDS)
def test_every_edge_gets_its_probability_whatever_the_lists_hold(inputs):
    """In the reference duplicates push a node out of its own list, and an edge never scored is a perfect link."""
    faces = normalize(np.random.default_rng(0).normal(size=(4, 8)))
    graph = KnnGraph.build(np.repeat(faces, 12, axis=0), 4)
    model = hilander_of(inputs).model
    linkage = link(model, Level.of_faces(graph))
    assert np.all((linkage > 0) & (linkage < 1))
    np.testing.assert_allclose(linkage, linkage[:, :1].repeat(4, axis=1), atol=1e-6)  # copies are linked alike
    np.testing.assert_allclose(linkage[:12], np.broadcast_to(linkage[0], (12, 4)), atol=1e-6)


@pytest.mark.parametrize("inputs", KINDS)
def test_negative_cosines_have_probabilities_and_densities(inputs):
    faces = np.zeros((8, 8), np.float32)
    faces[np.arange(8), np.arange(8) % 4] = np.where(np.arange(8) < 4, 1, -1)
    graph = KnnGraph.build(faces, 7)
    assert graph.similarities.min() == -1
    steps = list(climb(graph, partial(link, hilander_of(inputs).model), 0.0, "average", 7))
    for step in steps:
        assert np.all(np.isfinite(step.density))
        assert np.all((step.linkage >= 0) & (step.linkage <= 1))


@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("features", ["identity", "average"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_no_more_nodes_than_neighbours(inputs, features, n):
    faces = normalize(np.random.default_rng(n).normal(size=(n, 8)))
    model = hilander_of(inputs).with_settings(p_tau=0.0, features=features)
    labels = model.cluster(KnnGraph.build(faces, 4)).labels
    assert labels.shape == (n,)
    assert labels.min() == 0


@pytest.mark.parametrize("inputs", KINDS)
def test_no_edge_at_all(inputs):
    """Neither in the graph nor, with p_tau 1, among those that are selected: everyone stays alone."""
    faces = normalize(np.random.default_rng(0).normal(size=(6, 8)))
    empty = KnnGraph(faces, np.full((6, 4), -1, np.int32), np.zeros((6, 4), np.float32))
    model = hilander_of(inputs)
    np.testing.assert_array_equal(model.cluster(empty).labels, np.arange(6))
    np.testing.assert_array_equal(model.with_settings(p_tau=1.0).cluster(KnnGraph.build(faces, 4)).labels, np.arange(6))


def test_identical_faces_become_one_cluster_level_by_level(hilander):
    faces = np.repeat(normalize(np.random.default_rng(0).normal(size=(1, 8))), 200, axis=0)
    clustering = hilander.with_settings(p_tau=0.0).cluster(KnnGraph.build(faces, 4))
    np.testing.assert_array_equal(clustering.labels, np.zeros(200))


def test_labels_beside_the_faces_are_not_needed_and_not_looked_at(hilander, blobs, tmp_path):
    from clustering.commands.cluster import cluster

    embeddings, labels = blobs(spread=0.6)
    hilander.save_pretrained(tmp_path)
    for name, known in (("with", labels[::-1]), ("without", None)):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, embeddings, labels=known)
        cluster("hilander", tmp_path / name, tmp_path / f"{name}-clusters", model=tmp_path)
    found = [np.load(tmp_path / f"{name}-clusters" / "labels.npy") for name in ("with", "without")]
    np.testing.assert_array_equal(*found)


def test_edges_are_decoded_by_hand():
    neighbors = np.array([[1, 2], [0, 2], [1, 0]], np.int32)
    graph = KnnGraph(np.eye(3, dtype=np.float32), neighbors, np.float32([[0.9, 0.8], [0.9, 0.7], [0.7, 0.8]]))
    density, linkage = np.float32([0, 1, 1]), np.float32([[0.6, 0.9], [0.9, 0.9], [0.5, 0.9]])
    found = decode(graph, linkage, density, 0.5)
    assert found.tolist() == [2, 1, 1]  # the likeliest; of equally dense ones the first is denser; just likely enough
    assert of_edges(graph, linkage, found).tolist() == np.float32([0.9, 0, 0.5]).tolist()
    assert decode(graph, np.full((3, 2), np.float32(0.6)), density, 0.5).tolist() == [1, 1, 1]  # the more similar
