"""Weights of insightface's arcface_torch: ``backbone.pth``, read without running code.

The file is the state dict of an iResNet. Ours have the same names and shapes (`facerec.backbones.iresnet`), so the
network follows from the weights. The blocks of each stage tell which iResNet it is. The last full connection tells the
size of faces and embeddings. Also read are the checkpoints of arcface_torch (``state_dict_backbone``), and states whose
names begin with ``module.``, as a network trained on several GPUs has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facerec.backbones import build
from facerec.backbones.iresnet import BLOCKS, CHANNELS
from facerec.pipeline.files import InputError
from facerec.pipeline.torch_file import is_dense, load_torch

SUFFIXES = (".pth", ".pt", ".ckpt")
INSIDE = ("state_dict_backbone", "state_dict", "model", "backbone")
"""Names under which checkpoints have the network's state."""
STRIDE = 16
"""Pixels of a face's side for each row of the last feature map."""


def is_weights(path: Path) -> bool:
    """Whether a path is such a file, by its suffix."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def load_arcface(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network that a ``backbone.pth`` is of.

    Returns:
        The backbone in evaluation mode, on the CPU, and its configuration, as `model_folder.load_model` does.

    Raises:
        InputError: Missing, damaged, more than tensors, or weights of another network than an iResNet.
    """
    state = _state(file)
    config = _config(state, file)
    with torch.device("meta"):
        backbone = build(config["backbone"], config["embedding_size"], config["input_size"], config["width"])
    fresh = {name for name in backbone.state_dict() if name.endswith("num_batches_tracked")} - set(state)
    state |= {name: torch.tensor(0) for name in fresh}  # older files lack them
    try:
        backbone.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: does not fit {config['backbone']} ({reason})") from None
    return backbone.eval(), config


def _state(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, floats as float32."""
    content = load_torch(file, "a state dict", "save backbone.state_dict()")
    for name in INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content or not all(map(is_dense, content.values())):
        raise InputError(f"{file}: holds no state dict of dense tensors; save backbone.state_dict()")
    state = {str(name).removeprefix("module."): value for name, value in content.items()}
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _config(state: Mapping[str, Tensor], file: Path) -> dict[str, Any]:
    """Name and sizes of the network that has these weights.

    Raises:
        InputError: It is no iResNet of `BLOCKS`.
    """
    found = {match[0] for name in state if (match := re.match(r"layer[1-4]\.\d+(?=\.)", name))}
    blocks = tuple(sum(block.startswith(f"layer{stage}.") for block in found) for stage in (1, 2, 3, 4))
    names = [name for name, counts in BLOCKS.items() if counts == blocks]
    head = state.get("fc.weight")
    if not names or head is None or head.ndim != 2:
        raise InputError(
            f"{file}: {len(state)} tensors, blocks {list(blocks)}; expected arcface_torch's iResNet-18, 34, 50, 100 or "
            "200 (conv1, bn1, layer1 to layer4, fc, features)"
        )
    side = round((head.shape[1] / CHANNELS[-1]) ** 0.5)
    return {
        "backbone": names[0], "width": 1.0, "input_size": side * STRIDE, "embedding_size": head.shape[0],
    }  # fmt: skip
