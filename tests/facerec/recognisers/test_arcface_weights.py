"""Training begins with, and embeddings come from, arcface_torch's ``backbone.pth`` and our own exports."""

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

from facerec.backbones.iresnet import BLOCKS
from facerec.commands.embed import embed
from facerec.commands.export import export
from facerec.pipeline.files import InputError
from facerec.pipeline.torch_file import load_torch
from facerec.recognisers import arcface_weights
from facerec.recognisers.arcface_weights import load_arcface
from facerec.recognisers.model_folder import save_model
from facerec.recognisers.onnx_weights import load_exported
from facerec.recognisers.recogniser import Recogniser
from facerec.training.options import Network

DIMENSION = 8


class ReferenceBlock(nn.Module):
    """arcface_torch's IBasicBlock, written from its description."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=1e-5)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=1e-5)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=1e-5)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=1e-5)
            )

    def forward(self, x):
        out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (x if self.downsample is None else self.downsample(x))


class Reference(nn.Module):
    """arcface_torch's IResNet; its last feature map has `side` rows."""

    def __init__(self, blocks, side=7):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=1e-5)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for stage, (count, outputs) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
            layers = [ReferenceBlock(inputs if n == 0 else outputs, outputs, 2 if n == 0 else 1) for n in range(count)]
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
            inputs = outputs
        self.bn2 = nn.BatchNorm2d(512, eps=1e-5)
        self.dropout = nn.Dropout(p=0, inplace=True)
        self.fc = nn.Linear(512 * side * side, DIMENSION)
        self.features = nn.BatchNorm1d(DIMENSION, eps=1e-5)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.dropout(torch.flatten(self.bn2(x), 1))))


@pytest.fixture(scope="module")
def reference():
    """An iResNet-18 for faces of 48 pixels whose weights and statistics all differ."""
    torch.manual_seed(0)
    network = Reference((2, 2, 2, 2), side=3)
    for name, value in network.state_dict().items():
        if "bn" in name or "prelu" in name or "features" in name or "downsample.1" in name:
            value.uniform_(0.4, 1.6) if value.is_floating_point() else value.fill_(3)
    return network.eval()


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


def expected(network, faces):
    with torch.inference_mode():
        return network(torch.from_numpy(faces.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5).numpy()


def assert_close(found, wanted):
    assert np.linalg.norm(found - wanted) < 1e-4 * np.linalg.norm(wanted)


def without_counters(state):
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    "kept",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict_backbone": {f"module.{k}": v for k, v in state.items()}},
        without_counters,
        lambda state: {"state_dict": {k: v.double() if v.is_floating_point() else v for k, v in state.items()}},
    ],
)
def test_embeddings_are_those_of_the_reference(tmp_path, reference, faces, kept):
    torch.save(kept(reference.state_dict()), tmp_path / "backbone.pth")
    recogniser = Recogniser.from_pretrained(tmp_path / "backbone.pth", "cpu", "fp32")
    assert (recogniser.input_size, recogniser.embedding_size) == (48, DIMENSION)
    assert_close(recogniser.unnormalised(faces, flip=False), expected(reference, faces))


def test_embed_and_init_take_the_file(tmp_path, reference, faces):
    torch.save(reference.state_dict(), tmp_path / "backbone.pth")
    (tmp_path / "faces").mkdir()
    for row, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / "faces" / f"{row}.png"), face[..., ::-1])
    out = embed(tmp_path / "backbone.pth", tmp_path / "faces", tmp_path / "e", flip=False, precision="fp32", workers=0)
    wanted = expected(reference, faces)
    np.testing.assert_allclose(
        np.load(out / "embeddings.npy"), wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-4
    )
    network = Network(tmp_path / "backbone.pth", "iresnet18", input_size=48, embedding_size=DIMENSION).build().eval()
    assert_close(expected(network, faces), wanted)
    with pytest.raises(InputError, match=r"--init .*backbone.pth: backbone iresnet18 there; give --backbone iresnet18"):
        Network(tmp_path / "backbone.pth", "iresnet50", input_size=48, embedding_size=DIMENSION).build()


@pytest.mark.parametrize("name", ["iresnet18", "iresnet34", "iresnet50", "iresnet100"])
def test_the_network_follows_from_the_weights(name):
    with torch.device("meta"):
        state = Reference(BLOCKS[name]).state_dict()
    found = arcface_weights._config(state, None)
    assert found == {"backbone": name, "width": 1.0, "input_size": 112, "embedding_size": DIMENSION}


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Evil(), "not readable as a state dict; .* or hold more than tensors: save backbone.state_dict"),
        ({"a": 3}, "holds no state dict of dense tensors"),
        ({}, "holds no state dict"),
        ({"a": torch.ones(3)}, r"1 tensors, blocks \[0, 0, 0, 0\]; expected arcface_torch's iResNet-18, 34"),
        ("conv1.weight", "does not fit iresnet18"),
        ("fc.weight", ".* tensors, blocks .*; expected arcface_torch's iResNet"),
    ],
)
def test_other_files_are_refused(tmp_path, reference, capsys, content, message):
    if isinstance(content, str):
        content = {name: value for name, value in reference.state_dict().items() if name != content}
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=f"x.pth: {message}"):
        load_arcface(tmp_path / "x.pth")
    assert "run" not in capsys.readouterr().out
    (tmp_path / "x.pth").write_bytes((tmp_path / "x.pth").read_bytes()[:100])
    with pytest.raises(InputError, match="not readable as a state dict"):
        load_arcface(tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"no.pth: no such model; .*arcface_torch's backbone.pth"):
        Recogniser.from_pretrained(tmp_path / "no.pth")


def test_files_of_a_newer_pickle_protocol_are_read_without_a_warning(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pth", pickle_protocol=3)
    assert torch.equal(load_torch(tmp_path / "x.pth", "a state dict", "")["a"], torch.ones(3))


def test_training_begins_with_our_own_export(tmp_path):
    torch.manual_seed(0)
    options = {"backbone": "mobilefacenet", "input_size": 32, "embedding_size": DIMENSION, "width": 0.125}
    network = Network(**options).build()
    network(torch.randn(4, 3, 32, 32))  # statistics of its own
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model", network, options)
    exported = export(tmp_path / "model", tmp_path / "onnx") / "model.onnx"
    model = onnx.load(exported)
    model.metadata_props.insert(0, onnx.StringStringEntryProto(key="author", value="somebody"))
    onnx.save(model, exported)
    assert not load_exported(exported)[0].training
    again = Network(exported, **options).build()
    for (key, value), other in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other) or key.endswith("num_batches_tracked"), key
    with pytest.raises(InputError, match=rf"embedding_size {DIMENSION} there; give --embedding-size {DIMENSION}"):
        Network(exported, **options | {"embedding_size": 16}).build()
    name = model.graph.initializer.pop().name
    onnx.save(model, exported)
    with pytest.raises(InputError, match=f"model.onnx: no {name} in it; export the model again"):
        load_exported(exported)


def test_networks_in_onnx_of_others_are_no_beginning(tmp_path):
    graph = helper.make_graph([], "g", [], [])
    onnx.save(helper.make_model(graph), tmp_path / "x.onnx")
    with pytest.raises(InputError, match="x.onnx: no model that facerec export wrote"):
        Network(tmp_path / "x.onnx").build()
    model = helper.make_model(graph)
    helper.set_model_props(model, {"facerec": '{"backbone": "mobilefacenet"}'})
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(InputError, match="its weights do not fit its note"):
        load_exported(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"\xff" * 50)
    with pytest.raises(InputError, match="not readable as a model that facerec export wrote"):
        load_exported(tmp_path / "x.onnx")
