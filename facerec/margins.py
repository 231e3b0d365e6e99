"""CosFace: a softmax over cosines to class centres, with a margin (Wang et al. 2018, "CosFace")."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cosface(cosines: Tensor, labels: Tensor, scale: float = 64.0, margin: float = 0.35) -> Tensor:
    """The logits of the large margin cosine loss, equation 4: s (cos θ_j - m [j = y]).

    Args:
        cosines: [n, classes], of embeddings to class centres.
        labels: Int64 [n], the class of each row.
        scale: s.
        margin: m, in cosine.

    Returns:
        [n, classes]; their cross-entropy is the loss.
    """
    return scale * (cosines - margin * F.one_hot(labels, cosines.shape[1]))


class CosFaceHead(nn.Module):
    """Class centres and their CosFace logits.

    Args:
        classes: Number of classes.
        embedding_size: Length of an embedding.
        scale: s, see `cosface`.
        margin: m.
    """

    def __init__(self, classes: int, embedding_size: int, scale: float = 64.0, margin: float = 0.35):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, embedding_size) * 0.01)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits with the margin, and cosines without.

        Args:
            embeddings: [n, embedding_size], of any length.
            labels: Int64 [n].

        Returns:
            Logits [n, classes] for the cross-entropy; cosines [n, classes].
        """
        cosines = F.linear(F.normalize(embeddings.float()), F.normalize(self.centres))
        return cosface(cosines, labels, self.scale, self.margin), cosines
