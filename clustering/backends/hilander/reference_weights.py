"""Weights in the layout of the paper's public reference become a `LinkageModel`, for the command ``import``.

The reference (the Hi-LANDER example of DGL) saves a plain state dict: ``conv.0`` is the encoder, ``src_mlp``,
``dst_mlp`` and ``classifier_conn`` the edge head.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from clustering.backends.hilander.lander import LinkageModel
from facerec.pipeline.files import InputError, check_file, readable
from facerec.pipeline.torch_file import is_dense, load_torch

CONVOLUTION = ("conv.0.gcn_layer.mlp.weight", "conv.0.gcn_layer.mlp.bias")
ATTENTION = (
    "conv.0.gcn_layer.fc.weight", "conv.0.gcn_layer.attn_l", "conv.0.gcn_layer.attn_r",
    "conv.0.gcn_layer.bias", "conv.0.bias",
)  # fmt: skip
HEAD = tuple(f"{end}_mlp.{part}" for end in ("src", "dst") for part in ("weight", "bias")) + tuple(
    f"classifier_conn.{name}" for name in ("0.weight", "1.weight", "1.bias", "2.weight", "3.weight", "3.bias")
)


def read_state(file: Path) -> dict[str, Tensor]:
    """Reads a state dict without running code.

    Raises:
        InputError: Missing, unreadable, with other contents than tensors, or with values that are not finite.
    """
    if file.suffix == ".safetensors":
        check_file(file)
        with readable(file, "a state dict"):
            state = safetensors.torch.load_file(file)
    else:
        state = load_torch(file, "a state dict", "save model.state_dict()")
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{file}: holds no state dict of tensors; save model.state_dict()")
    odd = [
        name
        for name, value in state.items()
        if not (isinstance(name, str) and is_dense(value) and value.is_floating_point())
    ]
    if odd:
        raise InputError(f"{file}: {str(odd[0])[:80]} is no dense tensor of floats; save model.float().state_dict()")
    bad = [name for name, value in state.items() if not value.isfinite().all()]
    if bad:
        raise InputError(f"{file}: NaN or infinite values in {bad[0]}; take another checkpoint")
    return {name: value.float() for name, value in state.items()}


def lander_of(state: Mapping[str, Tensor], file: Path) -> LinkageModel:
    """The model that the weights of the reference describe.

    Args:
        state: As `read_state` returns it.
        file: Where it comes from, for messages.

    Raises:
        InputError: Other names than those of the reference with one layer, or shapes that do not fit each other.
    """
    attention = ATTENTION[0] in state
    names = (*(ATTENTION if attention else CONVOLUTION), *HEAD)
    if set(state) != set(names):
        wrong = sorted(set(state) ^ set(names))
        raise InputError(
            f"{file}: {'unknown' if wrong[0] in state else 'no'} {wrong[0]}; expected the reference's network with one "
            "layer (num_conv 1): conv.0.gcn_layer.*, src_mlp.*, dst_mlp.*, classifier_conn.*"
        )
    try:
        model, own = _translated(state, attention)
        model.load_state_dict(own)
    except (IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: shapes do not fit ({reason}); the weights are not of one network") from None
    return model


def _translated(state: Mapping[str, Tensor], attention: bool) -> tuple[LinkageModel, dict[str, Tensor]]:
    head = {name.replace("classifier_conn", "head"): state[name] for name in HEAD}
    own = {**(_attention(state) if attention else _convolution(state)), **head}
    hidden, width = state["src_mlp.weight"].shape
    inputs, heads = own["encoder.linear.weight"].shape[1], len(own["encoder.source"]) if attention else 1
    encoder, dimension = ("gat", inputs) if attention else ("reference", inputs // 2)
    return LinkageModel("features", dimension, width, hidden, encoder, heads), own


def _convolution(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weight, bias = (state[name] for name in CONVOLUTION)
    return {"encoder.linear.weight": weight, "encoder.linear.bias": bias}


def _attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The layer's weights; the reference adds two biases to every head and then takes the heads' mean."""
    weight, source, target, inner, outer = (state[name] for name in ATTENTION)
    return {
        "encoder.linear.weight": weight,
        "encoder.source": source.flatten(0, 1),
        "encoder.target": target.flatten(0, 1),
        "encoder.bias": (inner.view_as(outer) + outer).mean(dim=0),
    }
