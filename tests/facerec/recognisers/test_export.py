import json

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from insightface.model_zoo import get_model
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from safetensors.torch import load_file, save_file
from torch.nn import BatchNorm1d, BatchNorm2d

from facerec.backbones import build
from facerec.backbones.prelu import PReLU
from facerec.commands.embed import embed
from facerec.commands.export import export
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.files import InputError
from facerec.recognisers.model_folder import save_model
from facerec.recognisers.onnx_weights import load_exported
from facerec.stores.open import open_store


def saved(folder, name="mobilefacenet", size=112, width=1.0):
    """A model with its own slope in every channel and the statistics of a batch, so that faces differ."""
    folder.mkdir()
    torch.manual_seed(0)
    network = build(name, 16, size, width)
    for module in network.modules():
        if isinstance(module, PReLU):
            torch.nn.init.uniform_(module.weight, -0.5, 1.5)
        if isinstance(module, BatchNorm1d | BatchNorm2d):
            module.momentum = 1.0
    network(torch.randn(8, 3, size, size))
    save_model(folder, network, {"backbone": name, "width": width, "input_size": size, "embedding_size": 16})
    return folder


@pytest.fixture(scope="module")
def mobilefacenet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return export(model=saved(folder / "model", width=0.25), out=folder / "onnx")


def test_insightface_gives_the_embeddings_of_facerec_embed(tmp_path, make_faces, mobilefacenet):
    faces = make_faces(tmp_path / "faces", identities=3, each=2, size=112)
    ours = load_embeddings(
        embed(model=mobilefacenet.parent / "model", faces=faces, out=tmp_path / "ours", flip=False, workers=0)
    )
    recogniser = get_model(str(mobilefacenet / "model.onnx"), providers=["CPUExecutionProvider"])
    assert isinstance(recogniser, ArcFaceONNX)
    assert (recogniser.input_mean, recogniser.input_std, recogniser.input_size) == (127.5, 127.5, (112, 112))
    images = [cv2.imread(str(faces / key)) for key in open_store(faces).keys]
    theirs = recogniser.get_feat(images)
    lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
    assert abs(theirs / lengths - ours.embeddings).max() < 1e-4
    assert abs(recogniser.get_feat(images[0]) - theirs[:1]).max() < 1e-4 * lengths[0]
    assert abs(ours.embeddings[0] - ours.embeddings[2]).max() > 0.01  # the faces differ by more


def test_facerec_embed_takes_the_export(tmp_path, make_faces, mobilefacenet):
    faces = make_faces(tmp_path / "faces", identities=2, each=2, size=112)
    options = {"faces": faces, "workers": 0, "batch_size": 3}
    ours = embed(model=mobilefacenet.parent / "model", out=tmp_path / "ours", **options)
    theirs = embed(model=mobilefacenet / "model.onnx", out=tmp_path / "theirs", **options)
    np.testing.assert_allclose(load_embeddings(ours).embeddings, load_embeddings(theirs).embeddings, atol=1e-4)


def test_activations_are_prelu_nodes_and_nothing_stands_before_the_first_convolution(mobilefacenet):
    graph = onnx.load(mobilefacenet / "model.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds[0] == "Conv"
    assert kinds.count("PRelu") == 33
    assert not {"Where", "Sub", "Mul"} & set(kinds)
    assert [(value.name, [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim])
            for value in (*graph.input, *graph.output)] == [
        ("faces", ["n", 3, 112, 112]), ("embeddings", ["n", 16]),
    ]  # fmt: skip


def test_the_difference_is_a_number_also_where_float32_cannot_hold_squares(tmp_path):
    model = saved(tmp_path / "model", size=36)
    weights = load_file(model / "model.safetensors")
    save_file(
        weights | {name: 1e25 * weights[name] for name in ("norm.weight", "norm.bias")}, model / "model.safetensors"
    )
    out = export(model=model, out=tmp_path / "onnx")
    assert json.loads((out / "meta.json").read_text())["results"]["relative_difference"] < 1e-4


@pytest.mark.parametrize("name", ["vit_tiny", "iresnet18"])
def test_other_backbones_and_sizes_run_in_onnxruntime(tmp_path, name):
    model = saved(tmp_path / "model", name, size=36)
    out = export(model=model, out=tmp_path / "onnx")
    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    network = build(name, 16, 36).eval()
    network.load_state_dict(load_file(model / "model.safetensors"))
    for n in (1, 3):
        faces = torch.rand(n, 3, 36, 36) * 2 - 1
        (found,) = session.run(["embeddings"], {"faces": faces.numpy()})
        with torch.inference_mode():
            expected = network(faces).numpy()
        assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)
    numbers = torch.get_rng_state()
    again, config = load_exported(out / "model.onnx")
    assert torch.equal(torch.get_rng_state(), numbers)  # else the centres of a training with --init were others
    assert (config["backbone"], config["input_size"]) == (name, 36)
    for (key, value), other in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other) or key.endswith("num_batches_tracked"), key
    results = json.loads((out / "meta.json").read_text())["results"]
    assert results["input_size"] == 36
    assert results["relative_difference"] < 1e-4
    recogniser = ArcFaceONNX(str(out / "model.onnx"))
    assert (recogniser.input_mean, recogniser.input_std) == (127.5, 127.5)


def test_bad_models_are_refused(tmp_path, capsys):
    commands = {"export": "facerec.commands.export:export"}
    assert run("facerec", commands, ["export", "--model", str(tmp_path / "no"), "--out", str(tmp_path / "o")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
    model = saved(tmp_path / "model", size=32, width=0.125)
    weights = load_file(model / "model.safetensors")
    save_file(weights | {"norm.weight": weights["norm.weight"] * float("nan")}, model / "model.safetensors")
    with pytest.raises(InputError, match="NaN or infinite embeddings"):
        export(model=model, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()
    (model / "model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(InputError, match="it may be truncated"):
        export(model=model, out=tmp_path / "o")
