"""Proxy losses of metric learning, and coarser levels of proxies over them (Yang et al. 2022)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facerec.artifacts import InputError, load_labels
from facerec.dataset import TrainingSet

ITERATIONS = 20  # of k-means


def proxy_nca(cosines: Tensor, labels: Tensor, scale: float = 18.0) -> Tensor:
    """Proxy-NCA of Movshovitz-Attias et al. 2017, "No Fuss Distance Metric Learning using Proxies".

    As first published, the denominator has the other proxies alone: -log(exp(-d_y / T) / Σ_{j ≠ y} exp(-d_j / T)) with
    squared distances d = 2 - 2 cos θ of unit vectors. The temperature T is that of ProxyNCA++ (Teh et al. 2020), which
    also puts the true proxy into the denominator; with it, the loss is `facerec.margins.softmax`.

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


def proxy_anchor(cosines: Tensor, labels: Tensor, weights: Tensor, scale: float = 32.0, margin: float = 0.1) -> Tensor:
    """Proxy-Anchor, equation 4 of Kim et al. 2020, "Proxy Anchor Loss for Deep Metric Learning".

    The mean over the proxies with a row in the batch of log(1 + Σ_{i of p} w_i exp(-α (cos θ_ip - δ))), and the mean
    over all proxies of log(1 + Σ_{i not of p} w_i exp(α (cos θ_ip + δ))). It is no mean over rows, so weights are
    inside the sums: a row of weight 2 counts as two equal rows. With weights of 1 it is the paper's.

    Args:
        cosines: [n, classes], of embeddings to proxies.
        labels: Int64 [n], the class of each row.
        weights: w [n], > 0.
        scale: α.
        margin: δ, in cosine.

    Returns:
        The loss, a scalar.
    """
    present, place = labels.unique(return_inverse=True)
    rows, weight = labels[:, None], weights.log()[:, None]
    pulls = weight - scale * (cosines.gather(1, rows) - margin)
    own = cosines.new_full((len(labels), len(present)), -torch.inf).scatter(1, place[:, None], pulls)
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
        seed: Of the first centres.
    """
    import faiss  # not needed by other trainings

    points = F.normalize(proxies.detach().float()).cpu().numpy()
    means = faiss.Kmeans(points.shape[1], count, niter=ITERATIONS, spherical=True, seed=seed, min_points_per_centroid=1)
    means.train(points)
    nearest = means.index.search(points, 1)[1][:, 0]
    return torch.from_numpy(np.unique(nearest, return_inverse=True)[1].astype(np.int64)).to(proxies.device)


def majority(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """The coarser class of each class: the cluster that most of its faces are in, the lower number at a tie.

    Args:
        labels: Int64 [n], the class of each face, consecutive from 0.
        clusters: Int64 [n], the cluster of each face, -1 for none. A class without clustered faces gets a coarser class
            to itself.

    Returns:
        Int64 [classes], consecutive from 0 in the order of the classes.
    """
    pairs, counts = np.unique(np.stack([labels, clusters])[:, clusters >= 0], axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], counts))
    groups = clusters.max() + 1 + np.arange(labels.max() + 1)
    groups[pairs[0, order]] = pairs[1, order]
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def read_levels(folder: Path, faces: TrainingSet) -> Tensor:
    """The coarser classes that a hierarchy of faces gives to the classes of a training set, see `majority`.

    Args:
        folder: A folder with levels/<number>/labels.npy, int64 [rows], finest first, as clustering with Hi-LANDER
            writes. Rows are those of the training set's stores one after the other, or of the last store alone.
        faces: The training set.

    Returns:
        Int64 [levels, classes], without levels that put no classes together, or all, or the same as the level before.

    Raises:
        InputError: No levels there, labels that do not fit the faces, or no level that is left.
    """
    files = sorted((folder / "levels").glob("*/labels.npy"))
    if not files:
        raise InputError(f"{folder}: no levels/<number>/labels.npy; give a clustering with a hierarchy, or kmeans")
    kept: list[np.ndarray] = []
    for file in files:
        groups = majority(faces.label, _clusters(file, faces))
        if 1 < groups.max() + 1 < faces.classes and not (kept and np.array_equal(groups, kept[-1])):
            kept.append(groups)
    if not kept:
        raise InputError(
            f"{folder}: none of {len(files)} levels puts some of {faces.classes} classes together, not all"
        )
    return torch.from_numpy(np.stack(kept))


def _clusters(file: Path, faces: TrainingSet) -> np.ndarray:
    """Int64 [n]: the clusters of a training set's faces."""
    clusters = load_labels(file)
    lengths = np.array([len(store) for store in faces.stores])
    if len(clusters) not in (lengths.sum(), lengths[-1]):
        raise InputError(f"{file}: {len(clusters)} labels for stores of {' and '.join(map(str, lengths))} faces")
    rows = (np.cumsum(lengths) - lengths)[faces.store] + faces.row - (lengths.sum() - len(clusters))
    return np.where(rows >= 0, clusters[rows], -1)
