"""Encoders against one node at a time, and both graph engines against each other."""

from __future__ import annotations

import builtins
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from clustering.backends.hilander.dgl_engine import DglLinkageModel, require
from clustering.backends.hilander.encoders import (
    ENCODERS,
    EdgeBatch,
    GraphAttention,
    GraphConvolution,
    fold_repeated_weight,
    node_features,
)
from clustering.backends.hilander.engines import ENGINES, link, load_model
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.level import Level
from clustering.backends.weights import save_weights
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.embeddings import normalize
from facerec.pipeline.files import InputError

MODELS = [
    {"inputs": "features", "dimension": 6, "encoder": "graph"},
    {"inputs": "features", "dimension": 6, "encoder": "reference"},
    {"inputs": "features", "dimension": 6, "encoder": "gat"},
    {"inputs": "both", "dimension": 6, "encoder": "gat", "heads": 3},
    {"inputs": "similarities"},
]


@pytest.fixture
def level() -> Level:
    """40 nodes with duplicates, negative cosines, missing neighbours, a neighbour listed twice and one node alone."""
    random = np.random.default_rng(0)
    embeddings = normalize(random.normal(size=(40, 6)))
    embeddings[20:25] = embeddings[20]
    graph = KnnGraph.build(embeddings, 7)
    neighbors, similarities = graph.neighbors.copy(), graph.similarities.copy()
    neighbors[3:9, 2:], similarities[3:9, 2:] = -1, 0
    neighbors[9], similarities[9] = -1, 0
    neighbors[10, 1], similarities[10, 1] = neighbors[10, 0], similarities[10, 0]
    similarities[11] = -np.abs(similarities[11])
    return Level.of_faces(KnnGraph(embeddings, neighbors, similarities))


def prepared(level: Level) -> EdgeBatch:
    return EdgeBatch.of(level, node_features(level, torch.device("cpu")))


def encode(layer: GraphConvolution | GraphAttention, graph: EdgeBatch) -> torch.Tensor:
    return layer(graph, layer.parts(graph.features))


def edges_of(level: Level, i: int) -> list[tuple[int, float]]:
    found = zip(level.graph.neighbors[i].tolist(), level.graph.similarities[i].tolist(), strict=True)
    return [(j, cosine) for j, cosine in found if j >= 0]


@pytest.mark.parametrize("shares", [False, True])
def test_graph_convolution_equals_one_node_at_a_time(level, shares):
    torch.manual_seed(0)
    layer = GraphConvolution(6, 5, shares)
    features = torch.from_numpy(level.graph.embeddings)
    for i, found in enumerate(encode(layer, prepared(level))):
        weights = [(j, max(cosine, 0) if shares else cosine) for j, cosine in edges_of(level, i)]
        total = sum(weight for _, weight in weights) if shares else len(weights)
        mean = sum((weight / (total or 1) * features[j] for j, weight in weights), torch.zeros(6))
        expected = torch.relu(layer.linear(torch.cat([features[i], mean])))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_equals_one_node_at_a_time(level, heads):
    torch.manual_seed(0)
    layer = GraphAttention(6, 5, heads)
    with torch.no_grad():
        layer.bias.normal_()
    z = layer.linear(torch.from_numpy(level.graph.embeddings)).view(-1, heads, 5)
    for i, found in enumerate(encode(layer, prepared(level))):
        near = [j for j, _ in edges_of(level, i)]
        expected = layer.bias
        for head in range(heads):
            scores = [z[j, head] @ layer.source[head] + z[i, head] @ layer.target[head] for j in near]
            powers = [torch.exp(score if score > 0 else 0.2 * score) for score in scores]
            for j, power in zip(near, powers, strict=True):
                expected = expected + power / sum(powers) * z[j, head] / heads
        torch.testing.assert_close(found, torch.relu(expected), atol=1e-5, rtol=1e-5)


def test_attention_by_hand():
    layer = GraphAttention(2, 2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.eye(2))
        layer.source.copy_(torch.tensor([[np.log(3.0), -5 * np.log(2.0)]]))
        layer.target.zero_()
        layer.bias.copy_(torch.tensor([0.0, -0.1]))
    graph = EdgeBatch(
        torch.tensor([[0.0, 0], [1, 0], [0, 1]]), slice(None), torch.tensor([[1, 2], [0, 2], [0, 0]]),
        torch.tensor([[True, True], [True, True], [False, False]]), torch.ones(3, 2), torch.zeros(3, 2, 4),
    )  # fmt: skip
    # Node 0's neighbours score log 3 and .2 * -5 log 2: weights 3 and 1/2. Node 1's score 0 and -log 2. 2 has none.
    expected = [[6 / 7, 1 / 7 - 0.1], [0, 1 / 3 - 0.1], [0, 0]]
    np.testing.assert_allclose(encode(layer, graph).detach(), expected, atol=1e-6)


def dgl_or_skip() -> None:
    try:
        require()
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("settings", MODELS)
def test_both_engines_agree_forward_and_backward(level, settings):
    dgl_or_skip()
    torch.manual_seed(1)
    native = LinkageModel(width=9, hidden=8, **settings)
    by_dgl = DglLinkageModel(width=9, hidden=8, **settings)
    by_dgl.load_state_dict(native.state_dict())
    graph = prepared(level)
    weights = torch.randn(40, 7, 2)[graph.valid]
    outputs, gradients = [], []
    for model in (native, by_dgl):
        found = model(graph)[graph.valid]
        (found * weights).sum().backward()
        outputs.append(found)
        gradients.append({name: value.grad for name, value in model.named_parameters()})
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)
    assert all(value.abs().sum() > 0 for value in gradients[0].values())
    np.testing.assert_allclose(link(native, level), link(by_dgl, level), atol=1e-5)


@pytest.mark.parametrize("settings", MODELS)
@pytest.mark.parametrize("kept", [0, 1 << 20], ids=["encoded twice", "encoded once"])
def test_blocks_change_nothing(level, settings, kept, monkeypatch):
    torch.manual_seed(0)
    model = LinkageModel(width=9, hidden=8, **settings)
    with torch.no_grad():
        for values in model.head.parameters():  # slopes of any size, too
            values += torch.randn_like(values)
    whole = link(model, level)
    scores = model(prepared(level))
    np.testing.assert_allclose(whole, (scores[..., 1].exp() * prepared(level).valid).detach(), atol=1e-6)
    monkeypatch.setattr("clustering.backends.hilander.native_engine.BLOCK_VALUES", {"cpu": 8 * 7 * 3})
    monkeypatch.setattr("clustering.backends.hilander.native_engine.HEAD_VALUES", {"cpu": 8 * 7 * 2})
    monkeypatch.setattr("clustering.backends.hilander.native_engine.KEPT_VALUES", {"cpu": kept})
    np.testing.assert_allclose(link(model, level), whole, atol=1e-6)
    torch.testing.assert_close(model(prepared(level)), scores)


@pytest.mark.parametrize("settings", MODELS)
def test_some_rows_are_scored_as_all_are(level, settings):
    model, rows = LinkageModel(width=9, hidden=8, **settings), torch.tensor([11, 3, 39, 9])
    torch.testing.assert_close(model(prepared(level), rows), model(prepared(level))[rows])


@pytest.mark.parametrize("engine", ["native", "dgl"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_features_shown_once_or_twice_over(level, encoder, engine):
    if engine == "dgl":
        dgl_or_skip()
    model, once = ENGINES[engine]("features", 12, 9, 8, encoder), level.graph
    twice = KnnGraph(np.hstack([once.embeddings] * 2), once.neighbors, once.similarities)
    np.testing.assert_allclose(link(model, level), link(model, replace(level, graph=twice)), atol=1e-6)


def test_folded_by_hand():
    weight = torch.tensor([[1.0, 2, 10, 20], [3, 4, 30, 40]])
    torch.testing.assert_close(fold_repeated_weight(weight, 2), torch.tensor([[11.0, 22], [33, 44]]))
    torch.testing.assert_close(fold_repeated_weight(weight, 4), weight)


def test_memory_of_linking_is_one_hidden_vector_a_node(monkeypatch):
    """Of the largest arrays that a wide model makes of many nodes there is one at a time, and nothing grows with k."""
    faces = normalize(np.random.default_rng(0).normal(size=(4000, 6)))
    level = Level.of_faces(KnnGraph(faces, np.random.default_rng(1).integers(0, 4000, (4000, 7), dtype=np.int32),
                                    np.full((4000, 7), 0.5, np.float32)))  # fmt: skip
    model = LinkageModel("features", 6, width=64, hidden=64)
    for name in ("BLOCK_VALUES", "HEAD_VALUES"):
        monkeypatch.setattr(f"clustering.backends.hilander.native_engine.{name}", {"cpu": 64 * 7 * 20})
    monkeypatch.setattr("clustering.backends.hilander.native_engine.KEPT_VALUES", {"cpu": 0})
    with torch.profiler.profile(profile_memory=True) as profile:
        link(model, level)
    sizes = [event.nbytes() for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    assert max(sizes) == 4000 * 64 * 4
    assert 4000 * 64 * 4 <= max(itertools.accumulate(sizes)) < 1.4 * 4000 * 64 * 4


def test_unknown_choices(tmp_path):
    with pytest.raises(InputError, match="encoder is 'gcn'; it must be one of graph, reference, gat"):
        LinkageModel(encoder="gcn")
    with pytest.raises(InputError, match="config.yaml: engine is 'pyg'; it must be one of native, dgl"):
        load_model(tmp_path, {**LinkageModel().settings(), "engine": "pyg"})


def test_dgl_asked_for_where_there_is_none(monkeypatch):
    real = builtins.__import__

    def without_dgl(name, *arguments, **keywords):
        if name.startswith("dgl"):
            raise ImportError("no dgl here")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_dgl)
    with pytest.raises(InputError, match="DGL cannot be imported .no dgl here.; install dgl 1.1.3 or take engine 'nat"):
        DglLinkageModel()
    assert LinkageModel().engine == "native"


@pytest.mark.parametrize("settings", MODELS)
def test_saved_and_loaded(level, settings, tmp_path):
    model = LinkageModel(width=9, hidden=8, **settings)
    save_weights(tmp_path, model)
    loaded = load_model(tmp_path, model.settings())
    np.testing.assert_array_equal(link(loaded, level), link(model, level))


def test_settings_that_no_model_has(tmp_path):
    model = LinkageModel()
    save_weights(tmp_path, model)
    with pytest.raises(InputError, match="heads are .*; expected whole numbers"):
        load_model(tmp_path, {**model.settings(), "heads": 0})
    for wrong in ({**model.settings(), "head": 2}, {"engine": "native", "inputs": "features"}):
        with pytest.raises(InputError, match="expected inputs, dimension, width, hidden, encoder, heads$"):
            load_model(tmp_path, wrong)
