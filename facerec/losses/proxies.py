"""Proxy losses of metric learning, and coarser levels of proxies over them (Yang et al. 2022)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facerec.losses.head import weighted_mean
from facerec.pipeline.values import INT_SEEDS

ITERATIONS = 20  # of k-means


def proxy_nca(cosines: Tensor, labels: Tensor, scale: float = 18.0) -> Tensor:
    """Proxy-NCA of Movshovitz-Attias et al. 2017, "No Fuss Distance Metric Learning using Proxies".

    As first published, the denominator has the other proxies alone. With squared distances d = 2 - 2 cos θ of unit
    vectors and a temperature T the loss is

        -log(exp(-d_y / T) / Σ_{j ≠ y} exp(-d_j / T))

    T is that of ProxyNCA++ (Teh et al. 2020), which also puts the true proxy into the denominator. That is the softmax
    without margin.

    Args:
        cosines: [n, classes], of embeddings to proxies; at least two classes.
        labels: Int64 [n], the class of each row.
        scale: 2 / T; the default is T = 1 / 9.

    Returns:
        [n], the loss of each row; it can be negative.
    """
    logits, rows = scale * cosines, labels[:, None]
    others = logits.scatter(1, rows, -torch.inf).logsumexp(1)
    return others - logits.gather(1, rows)[:, 0]


def mean_proxy_nca(cosines: Tensor, labels: Tensor, weights: Tensor, scale: float = 18.0) -> Tensor:
    """The weighted mean of `proxy_nca` over the rows, a scalar; weights [n], > 0."""
    return weighted_mean(proxy_nca(cosines, labels, scale), weights)


def proxy_anchor(cosines: Tensor, labels: Tensor, weights: Tensor, scale: float = 32.0, margin: float = 0.1) -> Tensor:
    """Proxy-Anchor, equation 4 of Kim et al. 2020, "Proxy Anchor Loss for Deep Metric Learning".

    The sum of two means, where P is all proxies and P⁺ those with a row in the batch:

    - mean over p in P⁺ of log(1 + Σ_{i of p} w_i exp(-α (cos θ_ip - δ)))
    - mean over p in P of log(1 + Σ_{i not of p} w_i exp(α (cos θ_ip + δ)))

    It is no mean over rows, so weights are inside the sums: a row of weight 2 counts as two equal rows. With weights of
    1 it is the paper's.

    Args:
        cosines: [n, classes], of embeddings to proxies.
        labels: Int64 [n], the class of each row.
        weights: w [n], > 0.
        scale: α.
        margin: δ, in cosine.

    Returns:
        The loss, a scalar.
    """
    present, column = labels.unique(return_inverse=True)
    rows, weight = labels[:, None], weights.log()[:, None]
    pulls = weight - scale * (cosines.gather(1, rows) - margin)
    own = cosines.new_full((len(labels), len(present)), -torch.inf).scatter(1, column[:, None], pulls)
    pushes = (weight + scale * (cosines + margin)).scatter(1, rows, -torch.inf)
    return _log_one_plus(own).mean() + _log_one_plus(pushes).mean()


def _log_one_plus(exponents: Tensor) -> Tensor:
    """log(1 + Σ_i exp(x_ip)) of columns p, also where all x are -∞."""
    return F.pad(exponents, (0, 0, 1, 0)).logsumexp(0)


def coarse_proxies(proxies: Tensor, groups: Tensor) -> Tensor:
    """The proxies of coarser classes: the means of their classes' normalised proxies, normalised.

    Args:
        proxies: [classes, d].
        groups: Int64 [classes], the coarser class of each, consecutive from 0.

    Returns:
        [coarser classes, d], unit rows.
    """
    sums = proxies.new_zeros(int(groups.max()) + 1, proxies.shape[1])
    return F.normalize(sums.index_add(0, groups, F.normalize(proxies)))


def kmeans_groups(proxies: Tensor, count: int, seed: int) -> Tensor:
    """Int64 [classes]: coarser classes, consecutive from 0, by spherical k-means on the proxies.

    Args:
        proxies: [classes, d].
        count: Coarser classes, at most the number of classes; fewer can come out.
        seed: Seed of the first centres.
    """
    import faiss  # not needed by other trainings

    points = F.normalize(proxies.detach().float()).cpu().numpy()
    means = faiss.Kmeans(
        points.shape[1], count, niter=ITERATIONS, spherical=True, seed=seed % INT_SEEDS, min_points_per_centroid=1
    )
    means.train(points)
    nearest = means.index.search(points, 1)[1][:, 0]
    return torch.from_numpy(np.unique(nearest, return_inverse=True)[1].astype(np.int64)).to(proxies.device)
