"""Weights of the paper's public reference, against its network computed one node and one edge at a time."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import safetensors.torch
import torch

from clustering.__main__ import COMMANDS
from clustering.backends.hilander.climb import climb
from clustering.backends.hilander.engines import link
from clustering.backends.hilander.level import Level
from clustering.backends.registry import load_clusterer
from clustering.commands.import_reference import import_reference
from clustering.graph.knn_graph import KnnGraph
from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError

DIMENSION, WIDTH, HIDDEN, HEADS = 6, 8, 4, 2
State = dict[str, torch.Tensor]


def state_of(variant: str, seed: int = 0) -> State:
    """A state dict with the reference's names and shapes: for faces (graph convolution) or species (attention)."""
    shapes = {
        "faces": {
            "conv.0.gcn_layer.mlp.weight": (WIDTH, 4 * DIMENSION), "conv.0.gcn_layer.mlp.bias": (WIDTH,),
        },
        "species": {
            "conv.0.bias": (HEADS, WIDTH), "conv.0.gcn_layer.bias": (HEADS * WIDTH,),
            "conv.0.gcn_layer.attn_l": (1, HEADS, WIDTH), "conv.0.gcn_layer.attn_r": (1, HEADS, WIDTH),
            "conv.0.gcn_layer.fc.weight": (HEADS * WIDTH, DIMENSION),
        },
    }[variant]  # fmt: skip
    head = {
        "src_mlp.weight": (HIDDEN, WIDTH), "src_mlp.bias": (HIDDEN,),
        "dst_mlp.weight": (HIDDEN, WIDTH), "dst_mlp.bias": (HIDDEN,),
        "classifier_conn.0.weight": (HIDDEN,),
        "classifier_conn.1.weight": (HIDDEN, HIDDEN), "classifier_conn.1.bias": (HIDDEN,),
        "classifier_conn.2.weight": (HIDDEN,),
        "classifier_conn.3.weight": (2, HIDDEN), "classifier_conn.3.bias": (2,),
    }  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) / 2 for name, shape in {**shapes, **head}.items()}


def encoded_slowly(state: State, features: np.ndarray, near: list[tuple[int, float]], i: int) -> np.ndarray:
    """One node's encoding in the reference: near are its neighbours and their cosines."""
    w = {name.removeprefix("conv.0."): value.numpy().astype(np.float64) for name, value in state.items()}
    if "gcn_layer.mlp.weight" in w:
        total = sum(cosine for _, cosine in near)
        mean = sum(cosine / total * features[j] for j, cosine in near)
        return np.maximum(w["gcn_layer.mlp.weight"] @ np.concatenate([features[i], mean]) + w["gcn_layer.mlp.bias"], 0)
    heads = []
    for h in range(HEADS):
        rows = slice(h * WIDTH, (h + 1) * WIDTH)
        weight = w["gcn_layer.fc.weight"][rows]
        scores = [
            w["gcn_layer.attn_l"][0, h] @ weight @ features[j] + w["gcn_layer.attn_r"][0, h] @ weight @ features[i]
            for j, _ in near
        ]
        powers = np.exp([score if score > 0 else 0.2 * score for score in scores])
        out = sum(power / powers.sum() * (weight @ features[j]) for power, (j, _) in zip(powers, near, strict=True))
        heads.append(out + w["gcn_layer.bias"][rows] + w["bias"][h])
    return np.maximum(np.mean(heads, axis=0), 0)


def linked_slowly(state: State, features: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """P(same) of every edge; messages go from the neighbour (src) to the node (dst)."""
    w = {name: value.numpy().astype(np.float64) for name, value in state.items()}
    near = [list(zip(*pair, strict=True)) for pair in zip(neighbors.tolist(), cosines.tolist(), strict=True)]
    encoded = [encoded_slowly(state, features.astype(np.float64), near[i], i) for i in range(len(features))]
    found = np.zeros(neighbors.shape)
    for i, row in enumerate(neighbors):
        for column, j in enumerate(row):
            x = w["src_mlp.weight"] @ encoded[j] + w["dst_mlp.weight"] @ encoded[i]
            x += w["src_mlp.bias"] + w["dst_mlp.bias"]
            for layer in (0, 2):
                x = np.where(x > 0, x, w[f"classifier_conn.{layer}.weight"] * x)
                x = w[f"classifier_conn.{layer + 1}.weight"] @ x + w[f"classifier_conn.{layer + 1}.bias"]
            powers = np.exp(x)
            found[i, column] = powers[1] / powers.sum()
    return found


@pytest.mark.parametrize("variant", ["faces", "species"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_imported_weights_compute_what_the_reference_computes(variant, suffix, blobs, tmp_path):
    embeddings, _ = blobs(identities=6, faces=5, dimension=DIMENSION, spread=0.5)
    state, file = state_of(variant), tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else safetensors.torch.save_file)(state, file)
    options = {} if variant == "faces" else {"features": "identity", "p_tau": 0.1}
    model = load_clusterer("hilander", import_reference(file, tmp_path / "model", k=3, **options)).model
    graph = KnnGraph.build(embeddings, 3)
    assert graph.similarities.min() > 0
    seen = np.hstack([embeddings, embeddings]) if variant == "faces" else embeddings
    expected = linked_slowly(state, seen, graph.neighbors, graph.similarities)
    level = Level.of_faces(graph)
    assert expected.std() > 0.03
    np.testing.assert_allclose(link(model, level), expected, atol=1e-5)


def test_upper_levels_see_what_they_see_in_the_reference(blobs, tmp_path):
    """There a cluster is its peak's feature, compared as such, and beside it the mean of its faces."""
    embeddings, _ = blobs(identities=12, faces=6, dimension=DIMENSION, spread=0.6)
    state, file = state_of("faces"), tmp_path / "weights.pth"
    torch.save(state, file)
    clusterer = load_clusterer("hilander", import_reference(file, tmp_path / "model", k=3, p_tau=0.3))
    steps = list(climb(KnnGraph.build(embeddings, 3), partial(link, clusterer.model), 0.3, "reference", 3))
    assert len(steps) > 1
    clusters = steps[0].clusters
    means = np.stack([embeddings[clusters == number].mean(axis=0) for number in range(clusters.max() + 1)])
    peaks = embeddings[steps[1].level.faces]
    graph = KnnGraph.build(peaks, 3)
    np.testing.assert_array_equal(steps[1].level.graph.neighbors, graph.neighbors)
    if graph.valid.all() and graph.similarities.min() > 0:
        expected = linked_slowly(state, np.hstack([peaks, means]), graph.neighbors, graph.similarities)
        np.testing.assert_allclose(link(clusterer.model, steps[1].level), expected, atol=1e-5)
    np.testing.assert_allclose(steps[1].level.graph.embeddings, np.hstack([peaks, means]), atol=1e-6)


def test_command_makes_a_model_that_clusters(blobs, tmp_path):
    embeddings, _ = blobs(dimension=DIMENSION)
    np.save(tmp_path / "embeddings.npy", embeddings)
    torch.save(state_of("faces"), tmp_path / "weights.ckpt")
    for arguments in (
        ["import", "--weights", tmp_path / "weights.ckpt", "--out", tmp_path / "model"],
        ["cluster", "--backend", "hilander", "--model", tmp_path / "model",
         "--embeddings", tmp_path / "embeddings.npy", "--out", tmp_path / "clusters"],
    ):  # fmt: skip
        assert run("clustering", COMMANDS, [str(argument) for argument in arguments]) == 0
    assert np.load(tmp_path / "clusters" / "labels.npy").shape == (len(embeddings),)
    results = json.loads((tmp_path / "model" / "meta.json").read_text())["results"]
    assert results == {"encoder": "reference", "dimension": 2 * DIMENSION, "width": WIDTH, "hidden": HIDDEN}


def changed(**new: torch.Tensor | None) -> State:
    state = {**state_of("faces"), **{name.replace("__", "."): value for name, value in new.items()}}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(conv__1__gcn_layer__mlp__bias=torch.ones(2)), r"unknown conv.1.gcn_layer.mlp.bias; .*num_conv 1"),
        (changed(dst_mlp__bias=None), "no dst_mlp.bias; expected the reference's network"),
        (changed(dst_mlp__bias=torch.ones(9)), "dst_mlp.bias.* the weights are not of one network"),
        (changed(src_mlp__weight=torch.ones(9)), "the weights are not of one network"),
        (changed(src_mlp__bias=torch.full((HIDDEN,), torch.nan)), "NaN or infinite values in src_mlp.bias"),
        ({"state": 1}, "holds no state dict of tensors"),
        ([torch.ones(2)], "holds no state dict of tensors"),
    ],
)
def test_other_contents(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=message):
        import_reference(tmp_path / "weights.pth", tmp_path / "model")
    assert not (tmp_path / "model").exists()


class Trap:
    """An object whose pickle runs code when it is read."""

    def __reduce__(self):
        return pytest.fail, ("code of the file was run",)


def test_files_that_cannot_be_read(tmp_path):
    torch.save(state_of("faces"), tmp_path / "good.pth")
    (tmp_path / "truncated.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:900])
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save(Trap(), tmp_path / "code.pth")
    for name in ("truncated.pth", "text.pth", "text.safetensors", "code.pth"):
        with pytest.raises(InputError, match=f"{name}: not readable as a state dict"):
            import_reference(tmp_path / name, tmp_path / "model")
    with pytest.raises(InputError, match="absent.pth: no such file"):
        import_reference(tmp_path / "absent.pth", tmp_path / "model")


def test_features_that_the_weights_cannot_have(tmp_path):
    state = state_of("faces") | {"conv.0.gcn_layer.mlp.weight": torch.ones(WIDTH, 10)}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="an odd number of inputs, 5; give --features identity"):
        import_reference(tmp_path / "weights.pth", tmp_path / "model")
