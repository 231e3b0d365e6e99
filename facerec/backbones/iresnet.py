"""iResNet as insightface publishes it (Deng et al. 2019, "ArcFace", section 3.1; Duta et al. 2020 for the block).

Parameters have the names and shapes of insightface's PyTorch weights, which therefore load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

from facerec.backbones.prelu import PReLU

BLOCKS = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
    "iresnet200": (6, 26, 60, 6),
}
CHANNELS = (64, 128, 256, 512)
EPSILON = 1e-5


class IResNet(nn.Module):
    """Four stages of pre-normalised blocks, a full connection and a batch normalisation without learned scale.

    Args:
        blocks: Number of blocks in each stage.
        embedding_size: Length of an embedding.
        input_size: Height and width of the faces, in pixels.
    """

    def __init__(self, blocks: tuple[int, ...], embedding_size: int, input_size: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0], eps=EPSILON)
        self.prelu = PReLU(CHANNELS[0])
        inputs = CHANNELS[0]
        stages = []
        for count, outputs in zip(blocks, CHANNELS, strict=True):
            first = Block(inputs, outputs, stride=2)
            stages.append(nn.Sequential(first, *(Block(outputs, outputs, stride=1) for _ in range(count - 1))))
            inputs = outputs
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        side = -(-input_size // 16)
        self.bn2 = nn.BatchNorm2d(inputs, eps=EPSILON)
        self.dropout = nn.Dropout(p=0.0, inplace=True)
        self.fc = nn.Linear(inputs * side * side, embedding_size)
        self.features = nn.BatchNorm1d(embedding_size, eps=EPSILON)
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)

    def forward(self, faces: Tensor) -> Tensor:
        """Embeds faces.

        Args:
            faces: [n, 3, size, size], RGB, (value - 127.5) / 127.5.

        Returns:
            [n, embedding_size], not normalised.
        """
        x = self.prelu(self.bn1(self.conv1(faces)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.dropout(self.bn2(x).flatten(1))))


class Block(nn.Module):
    """Normalise, convolve, normalise, PReLU, convolve, normalise; the second convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=EPSILON)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=EPSILON)
        self.prelu = PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=EPSILON)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=EPSILON))
            if stride != 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(x)) + shortcut
