"""Model folders and checkpoints that say what no model has."""

import resource
import warnings

import numpy as np
import pytest
import torch

from clustering import Components, HiLander
from clustering.backends.hilander.reference_weights import read_state
from clustering.backends.networks.gcn_v import ConfidenceNetwork, GcnV
from clustering.commands.tune import tune
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, read_yaml, write_yaml
from facerec.pipeline.values import whole


@pytest.fixture
def model(tmp_path):
    HiLander.from_pretrained().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["hidden", "width"])
def test_sizes_that_the_weights_have_not_cost_no_memory(model, name):
    settings = read_yaml(model / "config.yaml")
    settings["model"] |= {name: 65536, "inputs": "both", "dimension": 64}
    write_yaml(model / "config.yaml", settings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="config.yaml asks for"):
        HiLander.from_pretrained(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB; it would take 17 GB


def test_truth_values_are_no_sizes_and_numbers_have_an_end(model):
    settings = read_yaml(model / "config.yaml")
    for changed, message in (
        ({"model": settings["model"] | {"hidden": True}}, "expected whole numbers"),
        ({"confidence": settings["confidence"] | {"offset": 10**400}}, "confidence.offset is 1000"),
        ({"confidence": settings["confidence"] | {"offset": float("nan")}}, "confidence.offset is nan"),
    ):
        write_yaml(model / "config.yaml", settings | changed)
        with pytest.raises(InputError, match=message):
            HiLander.from_pretrained(model)
    with pytest.raises(InputError, match="min_size is a whole number of 1329 bits; at most 63 can be worked with"):
        whole("min_size", 10**400, 1)


@pytest.mark.parametrize("value", [3, "x", [1], None])
def test_a_model_of_another_type_is_refused(model, value):
    settings = read_yaml(model / "config.yaml")
    write_yaml(model / "config.yaml", {**settings, "model": value})
    with pytest.raises(InputError, match="config.yaml: model is"):
        HiLander.from_pretrained(model)


def test_names_that_are_no_text_are_refused(model):
    settings = read_yaml(model / "config.yaml")
    for changed, message in (
        ({3: 4, "speed": 5}, "unknown 3, speed; hilander has model, k, "),
        ({"model": settings["model"] | {False: 5}}, "model settings inputs, .*, False; expected inputs"),
    ):
        write_yaml(model / "config.yaml", settings | changed)
        with pytest.raises(InputError, match=message):
            HiLander.from_pretrained(model)
    GcnV(ConfidenceNetwork(4, 4)).save_pretrained(model)
    write_yaml(model / "config.yaml", read_yaml(model / "config.yaml") | {"model": {3: 5}})
    with pytest.raises(InputError, match="config.yaml: model has 3; train the model again"):
        GcnV.from_pretrained(model)


def test_weights_are_not_taken_for_their_folder(model):
    with pytest.raises(InputError, match="model.safetensors: a file; give the folder of the model"):
        HiLander.from_pretrained(model / "model.safetensors")


def test_neighbours_without_bound_are_refused(tmp_path):
    write_yaml(tmp_path / "config.yaml", {"backend": "components", "k": 1_000_000})
    with pytest.raises(InputError, match="k is 1000000; it must be a whole number from 1 to 4096"):
        Components.from_pretrained(tmp_path)


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.ones(3).to_sparse()},
        {"a": torch.ones(3, device="meta")},
        {"a": torch.arange(3)},
        {1: torch.ones(3)},
    ],
    ids=["sparse", "meta", "integers", "integer key"],
)
def test_tensors_that_hold_no_plain_floats_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match="is no dense tensor of floats|not readable as a state dict"):
        read_state(tmp_path / "x.pth")


def test_quantised_tensors_are_refused(tmp_path):
    torch.save({"a": quantised()}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="is no dense tensor of floats|not readable as a state dict"):
        read_state(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "content", [b"", b"text\n" * 50, b"Rar!\x1a\x07\x01\x00" + bytes(100), b"PK\x03\x04" + bytes(99)]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_other_kinds_are_refused_without_advice(tmp_path, content, suffix):
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(InputError, match="not readable as a state dict") as raised:
        read_state(tmp_path / f"x{suffix}")
    assert "weights_only" not in str(raised.value)


def test_a_label_of_any_size_is_a_label(tmp_path):
    faces = np.random.default_rng(0).normal(size=(12, 8))
    labels = np.repeat([0, 2**40, 2**62], 4)
    for name, known in (("small", np.repeat(np.arange(3), 4)), ("large", labels)):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, faces, labels=known)
        tune("components", tmp_path / name, tmp_path / f"tuned {name}", trials=2)
    small, large = ((tmp_path / f"tuned {name}" / "search.csv").read_text() for name in ("small", "large"))
    assert small == large
