from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facerec.backbones import NAMES, build
from facerec.backbones.costs import costs
from facerec.backbones.iresnet import BLOCKS
from facerec.backbones.prelu import PReLU
from facerec.backbones.vit import SIZES
from facerec.commands.backbones import backbones
from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def published_names(blocks: tuple[int, ...]) -> set[str]:
    """The names in insightface's published state dicts, written out."""
    names = {"conv1.weight", "prelu.weight", "fc.weight", "fc.bias"}
    names |= {f"{norm}.{name}" for norm in ("bn1", "bn2", "features") for name in NORM}
    for layer, count in enumerate(blocks, 1):
        for block in range(count):
            prefix = f"layer{layer}.{block}"
            names |= {f"{prefix}.{name}.weight" for name in ("conv1", "conv2", "prelu")}
            names |= {f"{prefix}.bn{i}.{name}" for i in (1, 2, 3) for name in NORM}
        names |= {f"layer{layer}.0.downsample.0.weight"}
        names |= {f"layer{layer}.0.downsample.1.{name}" for name in NORM}
    return names


@pytest.mark.parametrize(("name", "blocks"), [("iresnet18", (2, 2, 2, 2)), ("iresnet50", (3, 4, 14, 3))])
def test_iresnet_has_insightface_names_and_shapes(name, blocks):
    with torch.device("meta"):
        state = build(name, embedding_size=512).state_dict()
    assert set(state) == published_names(blocks)
    assert state["fc.weight"].shape == (512, 512 * 7 * 7)
    assert state["layer1.0.conv2.weight"].shape == (64, 64, 3, 3)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["prelu.weight"].shape == (64,)
    with torch.device("meta"):
        fixed = [key for key, value in build(name).named_parameters() if not value.requires_grad]
    assert fixed == ["features.weight"]


@pytest.mark.parametrize(
    ("name", "millions"), [("iresnet18", 24.0), ("iresnet34", 34.1), ("iresnet50", 43.6), ("iresnet100", 65.2)]
)
def test_iresnet_has_the_published_number_of_parameters(name, millions):
    with torch.device("meta"):
        count = sum(weight.numel() for weight in build(name, embedding_size=512).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in ("mobilefacenet", "iresnet18") for size in (112, 64, 50)]
    + [(name, 50) for name in BLOCKS if name != "iresnet18"]  # the same stages, only longer
    + [(name, size) for name in SIZES for size in (112, 108, 36)],
)
def test_every_backbone_embeds_every_size(name, size):
    with torch.device("meta"):
        network = build(name, embedding_size=32, input_size=size)
        assert network(torch.empty(2, 3, size, size)).shape == (2, 32)


def vit_shapes(length: int, depth: int) -> dict[str, tuple[int, ...]]:
    """What insightface's ViT state dicts hold at 112 pixels and 512 components, written out; without mask_token."""
    shapes = {
        "patch_embed.proj.weight": (length, 3, 9, 9),
        "patch_embed.proj.bias": (length,),
        "pos_embed": (1, 144, length),
        "norm.weight": (length,),
        "norm.bias": (length,),
        "feature.0.weight": (length, 144 * length),
        "feature.2.weight": (512, length),
    }
    for name in NORM:
        shapes |= {f"feature.1.{name}": (length,), f"feature.3.{name}": (512,)}
    shapes |= {"feature.1.num_batches_tracked": (), "feature.3.num_batches_tracked": ()}
    for block in range(depth):
        shapes |= {f"blocks.{block}.{norm}.{name}": (length,) for norm in ("norm1", "norm2") for name in NORM[:2]}
        shapes |= {
            f"blocks.{block}.attn.qkv.weight": (3 * length, length),
            f"blocks.{block}.attn.proj.weight": (length, length),
            f"blocks.{block}.attn.proj.bias": (length,),
            f"blocks.{block}.mlp.fc1.weight": (4 * length, length),
            f"blocks.{block}.mlp.fc1.bias": (4 * length,),
            f"blocks.{block}.mlp.fc2.weight": (length, 4 * length),
            f"blocks.{block}.mlp.fc2.bias": (length,),
        }
    return shapes


@pytest.mark.parametrize(
    ("name", "length", "depth"),
    [("vit_tiny", 256, 12), ("vit_small", 512, 12), ("vit_base", 512, 24), ("vit_large", 768, 24)],
)
def test_insightface_s_vit_weights_load_but_for_the_mask(name, length, depth):
    published = {key: torch.empty(shape, device="meta") for key, shape in vit_shapes(length, depth).items()}
    with torch.device("meta"):
        network = build(name, embedding_size=512)
    network.load_state_dict(published, assign=True)


def test_vit_computes_what_its_definition_says():
    torch.manual_seed(0)
    network = build("vit_tiny", embedding_size=8, input_size=36)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        faces = torch.randn(3, 3, 36, 36)
        network(faces)
        network.eval()
        weights = network.state_dict()
        torch.testing.assert_close(network(faces), written_out_vit(weights, faces), rtol=1e-4, atol=1e-4)
        assert (network(faces).std(0) > 1e-3).all()


def written_out_vit(w: dict[str, torch.Tensor], faces: torch.Tensor) -> torch.Tensor:
    """The network's arithmetic, patch by patch and head by head."""

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def layer_norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def batch_norm(x, name):
        x = (x - w[f"{name}.running_mean"]) / (w[f"{name}.running_var"] + 2e-5).sqrt()
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    corners = [(row, column) for row in range(0, 36, 9) for column in range(0, 36, 9)]
    patches = torch.stack([faces[:, :, row : row + 9, column : column + 9].flatten(1) for row, column in corners], 1)
    x = patches @ w["patch_embed.proj.weight"].flatten(1).T + w["patch_embed.proj.bias"] + w["pos_embed"]
    for block in (f"blocks.{number}" for number in range(12)):
        q, k, v = linear(layer_norm(x, f"{block}.norm1"), f"{block}.attn.qkv").split(256, dim=2)
        heads = [slice(32 * head, 32 * head + 32) for head in range(8)]
        seen = [(q[..., h] @ k[..., h].transpose(1, 2) / 32**0.5).softmax(2) @ v[..., h] for h in heads]
        x = x + linear(torch.cat(seen, 2), f"{block}.attn.proj")
        x = x + linear(linear(layer_norm(x, f"{block}.norm2"), f"{block}.mlp.fc1").clamp(0, 6), f"{block}.mlp.fc2")
    x = batch_norm(linear(layer_norm(x, "norm").flatten(1), "feature.0"), "feature.1")
    return batch_norm(linear(x, "feature.2"), "feature.3")


def test_vit_of_112_pixels_leaves_the_last_four_out():
    torch.manual_seed(0)
    network = build("vit_tiny", embedding_size=8).eval()
    faces = torch.randn(2, 3, 112, 112)
    changed = faces.clone()
    changed[..., 108:] = 0
    changed[..., 108:, :] = 0
    with torch.inference_mode():
        assert torch.equal(network(faces), network(changed))
        changed[..., 107, 107] += 1
        assert not torch.equal(network(faces), network(changed))


def test_costs_of_iresnet18_are_those_counted_by_hand():
    side, multiply_adds = 112, 112 * 112 * 64 * 3 * 9
    inputs = 64
    for outputs in (64, 128, 256, 512):
        half = side // 2
        multiply_adds += 9 * (side * side * inputs * outputs + half * half * outputs * outputs)
        multiply_adds += half * half * inputs * outputs + 2 * 9 * half * half * outputs * outputs
        side, inputs = half, outputs
    assert costs("iresnet18", embedding_size=32)[1] == multiply_adds + 512 * 7 * 7 * 32


def test_table_of_backbones_is_the_documented_one_with_insightface_s_published_costs(capsys):
    backbones()
    table = capsys.readouterr().out
    assert table in (Path(__file__).parents[3] / "docs" / "reference" / "backbones.md").read_text()
    found = {
        name: (float(size), float(count)) for _, name, _, size, _, count, _ in map(str.split, table.splitlines()[2:])
    }
    assert list(found) == list(NAMES)
    assert found["iresnet50"] == (43.59, 6.31)
    published = {
        "iresnet18": 2.6, "iresnet50": 6.3, "iresnet100": 12.1, "iresnet200": 23.5,
        "vit_tiny": 1.5, "vit_small": 5.7, "vit_base": 11.4, "vit_large": 25.3,
    }  # fmt: skip
    assert {name: found[name][1] for name in published} == pytest.approx(published, abs=0.1)


def test_table_of_backbones_refuses_an_impossible_embedding(capsys):
    commands = {"backbones": "facerec.commands.backbones:backbones"}
    assert run("facerec", commands, ["backbones", "--embedding-size", "0"]) == 2
    assert "embedding size 0; an embedding has at least one component" in capsys.readouterr().err


def test_mobilefacenet_has_the_paper_s_size_and_scales_with_width():
    counts = {}
    for width in (0.25, 0.5, 1.0):
        network = build("mobilefacenet", embedding_size=128, width=width)
        counts[width] = sum(weight.numel() for weight in network.parameters())
    assert 0.9e6 < counts[1.0] < 1.05e6  # "less than 1 million parameters", and one PReLU slope a channel
    assert counts[0.25] < counts[0.5] < 0.35 * counts[1.0]


def test_mobilefacenet_computes_what_its_table_says():
    torch.manual_seed(0)
    network = build("mobilefacenet", embedding_size=8, input_size=50, width=0.24)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim == 1:  # of normalisations, and slopes
                value.uniform_(0.5, 1.5)
        faces = 3 * F.interpolate(torch.randn(3, 3, 4, 4), 50) + torch.randn(3, 3, 50, 50)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 1.0
        network(faces)  # whose statistics it takes
        found = network.eval()(faces)
        expected = written_out_mobilefacenet(network.state_dict(), faces)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found.std(0) > 0.1).all()


def written_out_mobilefacenet(w: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Table 1 of Chen et al. 2018 at 0.24 of its channels, in eights, layer by layer."""

    def norm(x, name):
        return F.batch_norm(x, *(w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))

    def convolution(x, name, stride=1, depthwise=False, linear=False, padding=None):
        weight = w[f"{name}.0.weight"]
        padding = weight.shape[2] // 2 if padding is None else padding
        x = F.conv2d(x, weight, None, stride, padding, groups=len(weight) if depthwise else 1)
        x = norm(x, f"{name}.1")
        return x if linear else torch.where(x > 0, x, x * w[f"{name}.2.weight"][:, None, None])

    x = convolution(x, "features.0", stride=2)
    x, layer = convolution(x, "features.1", depthwise=True), 2
    assert x.shape[1:] == (16, 25, 25)
    for expansion, channels, blocks, first_stride in (
        (2, 16, 5, 2), (4, 32, 1, 2), (2, 32, 6, 1), (4, 32, 1, 2), (2, 32, 2, 1),
    ):  # fmt: skip
        for stride in (first_stride, *[1] * (blocks - 1)):
            name = f"features.{layer}.layers"
            y = convolution(x, f"{name}.0")
            assert y.shape[1] == expansion * x.shape[1]
            y = convolution(convolution(y, f"{name}.1", stride, depthwise=True), f"{name}.2", linear=True)
            assert y.shape[1] == channels
            x = x + y if x.shape == y.shape else y
            layer += 1
    x = convolution(x, f"features.{layer}")
    assert x.shape[1:] == (120, 4, 4)
    x = convolution(x, "pool", depthwise=True, linear=True, padding=0).flatten(1)
    return norm(x @ w["embedding.weight"].T, "norm")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "resnet"}, "'resnet' is unknown; choose one of mobilefacenet, iresnet18"),
        ({"name": "iresnet18", "width": 0.5}, "only mobilefacenet has a width"),
        ({"name": "mobilefacenet", "width": 0.0}, "width 0.0"),
        ({"name": "mobilefacenet", "input_size": 16}, "input size 16 is too small"),
        ({"name": "mobilefacenet", "embedding_size": 0}, "embedding size 0"),
        ({"name": "vit_tiny", "width": 0.5}, "only mobilefacenet has a width"),
        (
            {"name": "vit_tiny", "input_size": 100},
            "input size 100 with vit_tiny; its patches need a multiple of 9, or 112",
        ),
    ],
)
def test_impossible_backbones_are_refused(options, text):
    with pytest.raises(InputError) as caught:
        build(**options)
    assert text in str(caught.value)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("piece", [1, 48, 1 << 16])
def test_prelu_has_pytorch_s_values_and_gradients(monkeypatch, order, piece):
    monkeypatch.setattr("facerec.backbones.prelu.PIECE", piece)
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64).to(memory_format=order)
    x[0, 0, 0, 0] = 0
    results = []
    for kind in (nn.PReLU, PReLU):
        module = kind(4).double()
        with torch.no_grad():
            module.weight.copy_(torch.tensor([0.25, -0.5, 1.5, 0.0]))
        inputs = x.clone().requires_grad_()
        module(inputs).pow(2).sum().backward()
        results.append((module(inputs).detach(), inputs.grad, module.weight.grad))
    for ours, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_prelu_adds_up_gradients_of_slopes_in_float32():
    """4095 times -1, which bfloat16 would round to -4096."""
    module = PReLU(1)
    module(-torch.ones(1, 1, 63, 65, dtype=torch.bfloat16)).float().sum().backward()
    assert module.weight.grad.tolist() == [-4095]


def test_prelu_under_autocast_keeps_float32_gradients_of_slopes():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), PReLU(4))
    with torch.autocast("cpu", torch.bfloat16):
        result = module(torch.randn(2, 3, 4, 4))
    result.float().sum().backward()
    assert result.dtype == torch.bfloat16
    assert module[1].weight.grad.dtype == torch.float32
