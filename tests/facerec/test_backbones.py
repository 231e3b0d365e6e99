import pytest
import torch
from torch import nn

from facerec.artifacts import InputError
from facerec.backbones import build
from facerec.backbones.iresnet import BLOCKS
from facerec.backbones.prelu import PReLU

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


@pytest.mark.parametrize(
    ("name", "millions"), [("iresnet18", 24.0), ("iresnet34", 34.1), ("iresnet50", 43.6), ("iresnet100", 65.2)]
)
def test_iresnet_has_the_published_number_of_parameters(name, millions):
    with torch.device("meta"):
        count = sum(weight.numel() for weight in build(name, embedding_size=512).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("name", ["mobilefacenet", *BLOCKS])
@pytest.mark.parametrize("size", [112, 64, 50])
def test_every_backbone_embeds_every_size(name, size):
    with torch.device("meta"):
        network = build(name, embedding_size=32, input_size=size)
        assert network(torch.empty(2, 3, size, size)).shape == (2, 32)


def test_mobilefacenet_has_the_paper_s_size_and_scales_with_width():
    counts = {}
    for width in (0.25, 0.5, 1.0):
        network = build("mobilefacenet", embedding_size=128, width=width)
        counts[width] = sum(weight.numel() for weight in network.parameters())
    assert 0.9e6 < counts[1.0] < 1.05e6  # "less than 1 million parameters", and one PReLU slope a channel
    assert counts[0.25] < counts[0.5] < 0.35 * counts[1.0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "resnet"}, "'resnet' is unknown; choose one of mobilefacenet, iresnet18"),
        ({"name": "iresnet18", "width": 0.5}, "only mobilefacenet has a width"),
        ({"name": "mobilefacenet", "width": 0.0}, "width 0.0"),
        ({"name": "mobilefacenet", "input_size": 16}, "input size 16 is too small"),
        ({"name": "mobilefacenet", "embedding_size": 0}, "embedding size 0"),
    ],
)
def test_impossible_backbones_are_refused(options, text):
    with pytest.raises(InputError) as caught:
        build(**options)
    assert text in str(caught.value)


def test_prelu_has_pytorch_s_values_and_gradients():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64)
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


def test_prelu_under_autocast_keeps_float32_gradients_of_slopes():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), PReLU(4))
    with torch.autocast("cpu", torch.bfloat16):
        result = module(torch.randn(2, 3, 4, 4))
    result.float().sum().backward()
    assert result.dtype == torch.bfloat16
    assert module[1].weight.grad.dtype == torch.float32
