"""MobileFaceNet (Chen et al. 2018, "Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices")."""

from __future__ import annotations

from torch import Tensor, nn

from facerec.backbones.prelu import PReLU

STAGES = (  # expansion, channels, blocks, stride of the first block (Table 1)
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)
STEM, TOP = 64, 512


class MobileFaceNet(nn.Module):
    """Inverted residual bottlenecks, closed by a depthwise convolution as large as the last feature map.

    Args:
        embedding_size: Length of an embedding.
        input_size: Height and width of the faces, in pixels.
        width: Multiplies every number of channels (rounded to a multiple of 8).
    """

    def __init__(self, embedding_size: int, input_size: int, width: float):
        super().__init__()
        stem, top = _scaled(STEM, width), _scaled(TOP, width)
        layers: list[nn.Module] = [_convolution(3, stem, 3, stride=2), _convolution(stem, stem, 3, groups=stem)]
        channels, side = stem, _halved(input_size)
        for expansion, outputs, blocks, stride in STAGES:
            outputs = _scaled(outputs, width)
            for block in range(blocks):
                step = stride if block == 0 else 1
                layers.append(Bottleneck(channels, outputs, expansion, step))
                channels = outputs
            side = _halved(side) if stride == 2 else side
        layers.append(_convolution(channels, top, 1))
        self.features = nn.Sequential(*layers)
        self.pool = _convolution(top, top, side, padding=0, groups=top, activation=False)
        self.embedding = nn.Linear(top, embedding_size, bias=False)
        self.norm = nn.BatchNorm1d(embedding_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, faces: Tensor) -> Tensor:
        """Embeds faces.

        Args:
            faces: [n, 3, size, size], RGB, (value - 127.5) / 127.5.

        Returns:
            [n, embedding_size], not normalised.
        """
        return self.norm(self.embedding(self.pool(self.features(faces)).flatten(1)))


class Bottleneck(nn.Module):
    """Pointwise expansion, depthwise convolution, linear projection; with a residual where shapes allow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            _convolution(inputs, hidden, 1),
            _convolution(hidden, hidden, 3, stride=stride, groups=hidden),
            _convolution(hidden, outputs, 1, activation=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        return x + self.layers(x) if self.residual else self.layers(x)


def _convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    padding = kernel // 2 if padding is None else padding
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, PReLU(outputs)) if activation else nn.Sequential(*layers)


def _scaled(channels: int, width: float) -> int:
    return max(8, round(channels * width / 8) * 8)


def _halved(side: int) -> int:
    return (side + 1) // 2
