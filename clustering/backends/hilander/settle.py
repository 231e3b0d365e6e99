"""Once the climb is over: faces that are more like another cluster than like their own move there.

An edge, once taken, is never taken back, so one wrong edge low in the hierarchy joins two people for good. When all
clusters are there, every face can be compared with what all of them have become.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustering.graph.knn_graph import KnnGraph
from clustering.graph.shared_rows import exchange, own_blocks
from clustering.partition import cluster_sums
from clustering.similarity.corpus_scale import CorpusScale

ROUNDS = 10
BLOCK = 512
MOST_PAIRS = 1 << 30
LEAST_SQUARE = 1e-4
CLEARLY = 0.5


@dataclass(frozen=True)
class Groups:
    """Clusters that faces can be in.

    Attributes:
        sums: float32 [c, d]: of each cluster's embeddings.
        sizes: float32 [c]: faces of each.
        scale: That corrects cosines.
    """

    sums: np.ndarray
    sizes: np.ndarray
    scale: CorpusScale

    @classmethod
    def of(cls, embeddings: np.ndarray, labels: np.ndarray, count: int, scale: CorpusScale) -> Groups:
        """The clusters 0 to `count` - 1 of some labels; those that have lost all faces are empty."""
        sums = np.zeros((count, embeddings.shape[1]), np.float32)
        sums[: labels.max(initial=-1) + 1] = cluster_sums(embeddings, labels)
        return cls(sums, np.bincount(labels[labels >= 0], minlength=count).astype(np.float32), scale)

    @cached_property
    def squares(self) -> np.ndarray:
        """Float32 [c]: squared lengths of `sums`."""
        return np.asarray(np.einsum("cd,cd->c", self.sums, self.sums))

    def likeness(self, dots: np.ndarray, squares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """How like a face is to clusters: the geometric mean of its mean cosine with their faces and with their mean.

        With m the mean of a cluster the one is ``<x, m>``, the other ``<x, m> / |m|``; so this is
        ``<x, m> / sqrt(|m|)``. Cosines are corrected, see `CorpusScale`.

        Args:
            dots: float32 [...]: of the face and the sums of the clusters.
            squares: float32 [...]: squared lengths of these sums.
            sizes: float32 [...]: faces, at least 1.
        """
        lengths = np.maximum(self.scale.corrected(squares / sizes**2), LEAST_SQUARE)
        return np.asarray(self.scale.corrected(dots / sizes) / lengths**0.25)


def settle(graph: KnnGraph, labels: np.ndarray, most_pairs: int = MOST_PAIRS) -> np.ndarray:
    """Moves faces to the clusters that they are more like, up to `ROUNDS` times.

    A face x is compared with its own cluster, without x, and with all others of two faces or more. It moves if it is
    more like another one (`Groups.likeness`) by more than ``s^2 log(n_own / n_other)``, s being the spread of
    strangers' cosines, and by more than ``s / 2``. The first is how much likelier a face is, beforehand, in the larger
    of two clusters, if faces of a cluster spread like strangers. The second keeps faces from wandering between clusters
    of one person. Faces that are alone stay alone.

    Args:
        graph: Of n faces.
        labels: int64 [n]; -1 for faces that are left out.
        most_pairs: Up to so many pairs of a face and a cluster all are compared. Beyond that, faces are compared with
            the clusters of their neighbours only.

    Returns:
        int64 [n]: the labels, in the numbering of `labels`; some clusters may have lost all of their faces.
    """
    labels, scale = np.array(labels, np.int64), CorpusScale.of(graph)
    count = int(labels.max(initial=-1)) + 1
    changed = np.ones(count, bool)
    for _ in range(ROUNDS):
        groups = Groups.of(graph.embeddings, labels, count, scale)
        large = np.flatnonzero(groups.sizes >= 2)
        if len(large) * len(labels) <= most_pairs:
            moved = _among_all(graph, labels, groups, large, changed)
        else:
            moved = _among_neighbors(graph, labels, groups)
        rows = np.flatnonzero(moved != labels)
        if not len(rows):
            break
        changed = np.zeros(count, bool)
        changed[labels[rows]] = changed[moved[rows]] = True
        labels = moved
    return labels


def _among_all(
    graph: KnnGraph, labels: np.ndarray, groups: Groups, large: np.ndarray, changed: np.ndarray
) -> np.ndarray:
    """Where faces move if all clusters of two faces or more are compared.

    A face of a cluster that has not changed has been compared with all others that have not.
    """
    moved = labels.copy()
    for rows in own_blocks(len(labels), BLOCK):
        faces = np.flatnonzero((labels[rows] >= 0) & (groups.sizes[labels[rows]] >= 2)) + rows.start
        fresh = changed[labels[faces]]
        for some, others in ((faces[fresh], large), (faces[~fresh], large[changed[large]])):
            if len(some) and len(others):
                dots = graph.embeddings[some] @ groups.sums[others].T
                like = groups.likeness(dots, groups.squares[others], groups.sizes[others])
                moved[some] = _best(graph.embeddings[some], labels[some], groups, others[None], like)
    exchange(moved, BLOCK)
    return moved


def _among_neighbors(graph: KnnGraph, labels: np.ndarray, groups: Groups) -> np.ndarray:
    """Where faces move if only the clusters of their neighbours are compared."""
    moved = labels.copy()
    for rows in own_blocks(len(labels), BLOCK):
        own = labels[rows]
        others = np.where(graph.neighbors[rows] >= 0, labels[graph.neighbors[rows]], own[:, None])
        doubt = (own >= 0) & (groups.sizes[own] >= 2) & (others != own[:, None]).any(axis=1)
        some = np.flatnonzero(doubt) + rows.start
        others = others[doubt]
        faces = graph.embeddings[some]
        dots = np.einsum("nd,nkd->nk", faces, groups.sums[others])
        like = groups.likeness(dots, groups.squares[others], groups.sizes[others])
        like[groups.sizes[others] < 2] = -np.inf
        moved[some] = _best(faces, labels[some], groups, others, like)
    exchange(moved, BLOCK)
    return moved


def _best(faces: np.ndarray, own: np.ndarray, groups: Groups, others: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Int64 [m]: the cluster that each face belongs to, its own unless another one is clearly more like it.

    Args:
        faces: float32 [m, d].
        own: int64 [m]: clusters of two faces or more.
        groups: All clusters.
        others: int64 [m or 1, k]: the clusters to compare with.
        like: float32 [m, k]: how like the faces are to these; that of their own is overwritten.
    """
    dots, rest = np.einsum("nd,nd->n", faces, groups.sums[own]), groups.sizes[own] - 1
    length = np.einsum("nd,nd->n", faces, faces)
    mine = groups.likeness(dots - length, np.maximum(groups.squares[own] - 2 * dots + length, 0), rest)
    like[others == own[:, None]] = -np.inf
    spread = groups.scale.usual[1]
    doubt = np.flatnonzero(like.max(axis=1, initial=-np.inf) > mine + CLEARLY * spread)
    odds = spread**2 * np.log(np.maximum(groups.sizes, 1))
    others = np.broadcast_to(others, like.shape)[doubt]
    gain = like[doubt] - mine[doubt, None]
    gain -= np.maximum(odds[own[doubt]][:, None] - odds[others], CLEARLY * spread)
    best = gain.argmax(axis=1)[:, None]
    found = own.copy()
    better = np.take_along_axis(gain, best, axis=1)[:, 0] > 0
    found[doubt[better]] = np.take_along_axis(others, best, axis=1)[better, 0]
    return found
