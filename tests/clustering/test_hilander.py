"""Hi-LANDER against slow code that follows the paper's equations letter by letter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering.hilander.climb import FEATURES, climb, decode, merge, pseudo_density, trees
from clustering.hilander.hierarchy import HiLander, fellowship
from clustering.hilander.lander import GraphConvolution, Lander, Prepared
from clustering.hilander.level import Level
from clustering.hilander.training import (
    TrainingGraph,
    connectivity_loss,
    density_loss,
    loss,
    majority,
    train_hilander,
    training_graphs,
    true_linkage,
)
from clustering.knn import KnnGraph
from eval.clusters import scores
from facerec.artifacts import InputError, normalize


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


@pytest.mark.parametrize("features", FEATURES)
def test_merge_by_hand(features):
    faces = np.eye(3, dtype=np.float32)
    level = Level.of_faces(KnnGraph.build(faces, 2), both=features == "both")
    merged = merge(level, clusters=np.array([0, 1, 1]), peaks=np.array([0, 2]), features=features, k=2)
    r = math.sqrt(0.5)
    identity, average = np.eye(3)[[0, 2]], np.array([[1, 0, 0], [0, r, r]])
    expected = {"identity": identity, "average": average, "both": np.hstack([identity, average]) * r}[features]
    np.testing.assert_allclose(merged.graph.embeddings, expected, atol=1e-6)
    np.testing.assert_array_equal(merged.sizes, [1, 2])
    np.testing.assert_array_equal(merged.faces, [0, 2])
    np.testing.assert_array_equal(merged.sums, [[1, 0, 0], [0, 1, 1]])


def test_average_is_over_all_original_faces(blobs):
    embeddings, labels = blobs(identities=6, faces=20, spread=0.8)

    def link(level: Level) -> np.ndarray:
        return true_linkage(level, labels)

    *_, last = climb(KnnGraph.build(embeddings, 3), link, 0.5, "average", 3)
    for node, face in enumerate(last.level.faces):
        mean = normalize(embeddings[labels == labels[face]].sum(axis=0, keepdims=True))[0]
        np.testing.assert_allclose(last.level.graph.embeddings[node], mean, atol=1e-5)
        assert last.level.sizes[node] == 20


def training_graph() -> TrainingGraph:
    """Three nodes in a row of similarities .5: 0 and 1 share an identity; node 2's second neighbour is missing."""
    graph = Prepared(
        features=torch.eye(3),
        neighbors=torch.tensor([[1, 2], [0, 2], [1, 0]]),
        valid=torch.tensor([[True, True], [True, True], [True, False]]),
        similarities=torch.tensor([[0.5, 0.4], [0.5, 0.2], [0.2, 0.0]]),
        edges=torch.zeros(3, 2, 4),
    )
    same = torch.tensor([[True, False], [True, False], [False, False]])
    return TrainingGraph(graph, same, torch.tensor([0.05, 0.15, -0.1]))


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
    layer = GraphConvolution(3, 1)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0, 2, 3, 10, 20, 30]]))
        layer.linear.bias.zero_()
    # node 0: itself e0; mean of .5 e1 and .4 e2. Node 2 has one neighbour, e1 at .2.
    expected = [1 + (20 * 0.5 + 30 * 0.4) / 2, 2 + (10 * 0.5 + 30 * 0.2) / 2, 3 + 20 * 0.2]
    np.testing.assert_allclose(layer(training_graph().graph)[:, 0].detach(), expected, rtol=1e-6)


def test_training_graphs_are_pure_and_end_without_true_edges(blobs):
    embeddings, labels = blobs(identities=10, faces=15, spread=0.9)
    graphs = list(training_graphs(embeddings, labels, "average", 4))
    assert len(graphs) > 2
    assert not graphs[-1].same.any()
    assert graphs[0].same.any()


@pytest.mark.parametrize(
    ("inputs", "features"), [("features", "identity"), ("both", "both"), ("similarities", "average")]
)
def test_every_kind_of_model_learns(blobs, tmp_path, inputs, features):
    embeddings, labels = blobs(identities=20, faces=10, dimension=24, spread=0.6)
    trained = train_hilander(embeddings, labels, 0, inputs=inputs, features=features, k=5, epochs=10)
    unseen, truth = blobs(identities=20, faces=10, dimension=24, spread=0.6, seed=1)
    clusters = trained.cluster(KnnGraph.build(unseen, 5))
    assert scores(truth, clusters.labels)["bcubed_f"] > 0.7
    trained.save(tmp_path)
    again = train_hilander(embeddings, labels, 0, inputs=inputs, features=features, k=5, epochs=10)
    np.testing.assert_array_equal(again.cluster(KnnGraph.build(unseen, 5)).labels, clusters.labels)
    if inputs != "similarities":
        with pytest.raises(InputError, match=r"trained on node features of \d+ dimensions, these have"):
            trained.cluster(KnnGraph.build(unseen[:, :8], 5))


def test_levels_are_nested_and_peaks_belong_to_their_clusters(hilander, blobs):
    embeddings, _ = blobs(spread=0.7, faces=20)
    clustering = hilander.cluster(KnnGraph.build(embeddings, 5))
    np.testing.assert_array_equal(np.unique(clustering.levels[-1]["labels"], return_inverse=True)[1].max() + 1,
                                  clustering.labels.max() + 1)  # fmt: skip
    for finer, coarser in zip(clustering.levels, clustering.levels[1:], strict=False):
        pairs = np.unique(np.stack([finer["labels"], coarser["labels"]]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]
        assert len(coarser["densities"]) == len(finer["peaks"])
    for level in clustering.levels:
        np.testing.assert_array_equal(level["labels"][level["peaks"]], np.arange(len(level["peaks"])))


def test_fellowship_by_hand():
    embeddings = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [1, 0]], np.float32)
    belonging, alone = fellowship(embeddings, np.array([0, 0, 0, 1, -1]))
    r = math.sqrt(0.5)
    np.testing.assert_allclose(belonging, [0, r, r, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(alone, [False, False, False, True, True])


def test_majority_by_hand():
    found = majority(np.array([0, 0, 0, 1, 1]), np.array([7, 9, 9, 3, 2]))
    np.testing.assert_array_equal(found, [9, 9, 9, 2, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file; train the model again"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 40), "not readable as safetensors"),
        (lambda folder: edit(folder, "hidden: 16", "hidden: 8"), "has shape .* config.yaml asks for"),
        (lambda folder: edit(folder, "inputs: similarities", "inputs: x"), "inputs is 'x'"),
        (lambda folder: edit(folder, "p_tau: 0.5", "p_tau: 5"), "p_tau is 5"),
        (lambda folder: edit(folder, "slope:", "slop:"), "no slope"),
        (lambda folder: edit(folder, "width: 256", "width: wide"), "expected whole numbers"),
    ],
)
def test_unusable_model_folder(hilander, tmp_path, change, message):
    from clustering.cluster import load_clusterer

    hilander.save(tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=message):
        load_clusterer("hilander", tmp_path)


def edit(folder, old: str, new: str) -> None:
    text = (folder / "config.yaml").read_text()
    assert old in text
    (folder / "config.yaml").write_text(text.replace(old, new))


def test_unknown_setting(blobs):
    with pytest.raises(InputError, match="hilander has no setting p_tow; it has inputs, features, k, p_tau"):
        HiLander.fit(*blobs(), seed=0, p_tow=1)


def test_missing_neighbours_have_no_probability(blobs):
    embeddings, _ = blobs(faces=2, identities=2)
    linkage = Lander().link(Level.of_faces(KnnGraph.build(embeddings, 6)))
    assert np.all(linkage[:, 3:] == 0)
    assert np.all(linkage[:, :3] > 0)


def test_trained_on_one_real_set_it_clusters_another(real):
    embeddings, labels = real("celeba299")
    some = np.isin(labels, np.unique(labels)[:150])
    trained = train_hilander(embeddings[some], labels[some], seed=0, epochs=10)
    embeddings, truth = real("lfw112")
    figures = scores(truth, trained.cluster(KnnGraph.build(embeddings, 10)).labels)
    assert figures["pairwise_f"] > 0.93
    assert figures["bcubed_f"] > 0.92
