"""Encoders against one node at a time, and both graph engines against each other."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch

from clustering.hilander.dgl_engine import require
from clustering.hilander.encoders import GraphAttention, GraphConvolution, Prepared
from clustering.hilander.lander import Lander
from clustering.hilander.level import Level
from clustering.knn import KnnGraph
from facerec.artifacts import InputError, normalize

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


def prepared(level: Level) -> Prepared:
    return Prepared.of(level, torch.device("cpu"))


def edges_of(level: Level, i: int) -> list[tuple[int, float]]:
    found = zip(level.graph.neighbors[i].tolist(), level.graph.similarities[i].tolist(), strict=True)
    return [(j, cosine) for j, cosine in found if j >= 0]


@pytest.mark.parametrize("shares", [False, True])
def test_graph_convolution_equals_one_node_at_a_time(level, shares):
    torch.manual_seed(0)
    layer = GraphConvolution(6, 5, shares)
    features = torch.from_numpy(level.graph.embeddings)
    for i, found in enumerate(layer(prepared(level))):
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
    for i, found in enumerate(layer(prepared(level))):
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
    graph = Prepared(
        torch.tensor([[0.0, 0], [1, 0], [0, 1]]), torch.tensor([[1, 2], [0, 2], [0, 0]]),
        torch.tensor([[True, True], [True, True], [False, False]]), torch.ones(3, 2), torch.zeros(3, 2, 4),
    )  # fmt: skip
    # Node 0's neighbours score log 3 and .2 * -5 log 2: weights 3 and 1/2. Node 1's score 0 and -log 2. 2 has none.
    expected = [[6 / 7, 1 / 7 - 0.1], [0, 1 / 3 - 0.1], [0, 0]]
    np.testing.assert_allclose(layer(graph).detach(), expected, atol=1e-6)


def dgl_or_skip() -> None:
    try:
        require()
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("settings", MODELS)
def test_both_engines_agree_forward_and_backward(level, settings):
    dgl_or_skip()
    torch.manual_seed(1)
    native = Lander(width=9, hidden=8, **settings)
    by_dgl = Lander(width=9, hidden=8, **settings, engine="dgl")
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
    np.testing.assert_allclose(native.link(level), by_dgl.link(level), atol=1e-5)


@pytest.mark.parametrize("settings", MODELS)
def test_blocks_change_nothing(level, settings, monkeypatch):
    model = Lander(width=9, hidden=8, **settings)
    whole = model.link(level)
    loss = model(prepared(level)).sum()
    monkeypatch.setattr("clustering.hilander.lander.BLOCK_VALUES", 200)
    monkeypatch.setattr("clustering.hilander.encoders.NODE_BLOCK", 7)
    np.testing.assert_allclose(model.link(level), whole, atol=1e-6)
    torch.testing.assert_close(model(prepared(level)).sum(), loss)


def test_memory_of_the_gradient_does_not_grow_with_edges_times_width(level, monkeypatch):
    """What autograd keeps for a wide model: less than one float32 [n, k, hidden]."""
    monkeypatch.setattr("clustering.hilander.lander.BLOCK_VALUES", 20 * 7 * 1024)
    model, kept = Lander("features", 6, width=16, hidden=1024), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nelement()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(prepared(level))
    nodes = 2 * 40 * 1024 + model.head[1].weight.nelement()
    assert sum(kept.values()) < 40 * 7 * 1024 + nodes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "gcn"}, "encoder is 'gcn'; it must be one of graph, reference, gat"),
        ({"engine": "pyg"}, "engine is 'pyg'; it must be one of native, dgl"),
    ],
)
def test_unknown_choices(settings, message):
    with pytest.raises(InputError, match=message):
        Lander(**settings)


def test_dgl_asked_for_where_there_is_none(monkeypatch):
    real = builtins.__import__

    def without_dgl(name, *arguments, **keywords):
        if name.startswith("dgl"):
            raise ImportError("no dgl here")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_dgl)
    with pytest.raises(InputError, match="DGL cannot be imported .no dgl here.; install dgl 1.1.3 or take engine 'nat"):
        Lander(engine="dgl")
    assert Lander().engine == "native"


@pytest.mark.parametrize("settings", MODELS)
def test_saved_and_loaded(level, settings, tmp_path):
    model = Lander(width=9, hidden=8, **settings)
    model.save(tmp_path)
    loaded = Lander.load(tmp_path, model.settings())
    np.testing.assert_array_equal(loaded.link(level), model.link(level))


def test_settings_from_before_there_were_encoders(level, tmp_path):
    model = Lander()
    model.save(tmp_path)
    old = {name: model.settings()[name] for name in ("inputs", "dimension", "width", "hidden")}
    np.testing.assert_array_equal(Lander.load(tmp_path, old).link(level), model.link(level))
    with pytest.raises(InputError, match="heads are .*; expected whole numbers"):
        Lander.load(tmp_path, {**old, "heads": 0})
    with pytest.raises(InputError, match="expected inputs, dimension, width, hidden, encoder, heads, engine"):
        Lander.load(tmp_path, {**old, "head": 2})
