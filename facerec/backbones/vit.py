"""The Vision Transformer (Dosovitskiy et al. 2021) as insightface publishes it for faces.

It has patches of 9 pixels, no class token, ReLU6, and an embedding of all tokens. Parameters have the names and shapes
of insightface's PyTorch weights, which load as they are but for ``mask_token``: it belongs to the masking of patches in
insightface's training. Masking and stochastic depth are left out here, so that an interrupted training goes on bit for
bit.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZES = {  # length of a token, blocks
    "vit_tiny": (256, 12),
    "vit_small": (512, 12),
    "vit_base": (512, 24),
    "vit_large": (768, 24),
}
PATCH, HEADS, EXPANSION = 9, 8, 4
EPSILON = 2e-5
DEVIATION = 0.02


class ViT(nn.Module):
    """Patches, pre-normalised attention blocks, and two full connections from all tokens to the embedding.

    Args:
        length: Length of a token, a multiple of `HEADS`.
        depth: Number of blocks.
        embedding_size: Length of an embedding.
        input_size: Height and width of the faces, in pixels. What remains of it beyond the last whole patch, right and
            below, is not looked at: 4 pixels of 112.
    """

    def __init__(self, length: int, depth: int, embedding_size: int, input_size: int):
        super().__init__()
        tokens = (input_size // PATCH) ** 2
        self.patch_embed = nn.Sequential(OrderedDict[str, nn.Module](proj=nn.Conv2d(3, length, PATCH, PATCH)))
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, length))
        self.blocks = nn.Sequential(*(Block(length) for _ in range(depth)))
        self.norm = nn.LayerNorm(length)
        self.feature = nn.Sequential(
            nn.Linear(tokens * length, length, bias=False),
            nn.BatchNorm1d(length, eps=EPSILON),
            nn.Linear(length, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size, eps=EPSILON),
        )
        nn.init.trunc_normal_(self.pos_embed, std=DEVIATION)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=DEVIATION)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, faces: Tensor) -> Tensor:
        """Embeds faces.

        Args:
            faces: [n, 3, size, size], RGB, (value - 127.5) / 127.5.

        Returns:
            [n, embedding_size], not normalised.
        """
        tokens = self.patch_embed(faces).flatten(2).transpose(1, 2) + self.pos_embed
        return self.feature(self.norm(self.blocks(tokens)).flatten(1))


class Block(nn.Module):
    """Attention and a perceptron of each token, both normalised before and added to what was there."""

    def __init__(self, length: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(length), nn.LayerNorm(length)
        self.attn = Attention(length)
        hidden = EXPANSION * length
        self.mlp = nn.Sequential(
            OrderedDict[str, nn.Module](fc1=nn.Linear(length, hidden), act=nn.ReLU6(), fc2=nn.Linear(hidden, length))
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, tokens, length] to the same."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Self-attention with `HEADS` heads; queries, keys and values without bias."""

    def __init__(self, length: int):
        super().__init__()
        self.qkv = nn.Linear(length, 3 * length, bias=False)
        self.proj = nn.Linear(length, length)

    def forward(self, x: Tensor) -> Tensor:
        """[n, tokens, length] to the same."""
        queries, keys, values = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind()
        return self.proj(F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2))
