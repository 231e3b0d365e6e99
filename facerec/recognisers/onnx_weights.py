"""Networks of ours that ``facerec export`` wrote, as PyTorch modules again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from facerec.backbones import build
from facerec.pipeline.files import InputError, check_file, readable

NOTE = "facerec"
COUNTER = "num_batches_tracked"
"""Of a batch normalisation, which evaluation does not use and the graph does not have."""


def note_network(file: Path, config: Mapping[str, Any]) -> None:
    """Writes into an exported graph which network it is."""
    model = onnx.load(file, load_external_data=False)
    onnx.helper.set_model_props(model, {NOTE: json.dumps(dict(config))})
    onnx.save(model, file)


def load_exported(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network that was exported.

    Returns:
        The backbone in evaluation mode, on the CPU, and its configuration, as `model_folder.load_model` does.

    Raises:
        InputError: Missing, damaged, or not written by ``facerec export``.
    """
    tensors, config = _contents(file)
    try:
        with torch.device("meta"):  # which draws no random numbers
            backbone = build(*(config[name] for name in ("backbone", "embedding_size", "input_size", "width")))
        missing = {name for name in backbone.state_dict() if name not in tensors and not name.endswith(COUNTER)}
        if missing:
            raise InputError(f"{file}: no {min(missing)} in it; export the model again")
        backbone.load_state_dict(
            {name: tensors[name] if name in tensors else torch.tensor(0) for name in backbone.state_dict()}, assign=True
        )
    except (RuntimeError, TypeError, KeyError) as error:
        raise InputError(f"{file}: its weights do not fit its note ({' '.join(str(error).split())[:160]})") from None
    return backbone.eval(), config


def _contents(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The weights by name, and the note of the network."""
    check_file(file)
    with readable(file, "a model that facerec export wrote"):
        model = onnx.load(file)
        tensors = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in model.graph.initializer}
        notes = [json.loads(each.value) for each in model.metadata_props if each.key == NOTE]
    if not notes or not isinstance(notes[0], dict):
        raise InputError(
            f"{file}: no model that facerec export wrote, which has its name inside; training begins with a model "
            "folder, arcface_torch's backbone.pth or such an export"
        )
    return tensors, notes[0]
