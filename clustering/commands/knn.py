"""The command ``knn``: embeddings to their kNN graph."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustering.graph.build import MIN_RECALL, RECALL, make_graph
from clustering.graph.knn_graph import DEFAULT_K
from facerec.pipeline.arguments import Seed
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, write_not_finite
from facerec.pipeline.files import InputError
from facerec.pipeline.ranks import barrier, init_group, is_main
from facerec.pipeline.stage import stage

logger = logging.getLogger(__name__)


def _found(results: Mapping[str, Any]) -> str:
    k, every = results["k"], f"recall@{results['k']}"
    unreadable = results["faces"] - results["readable"]
    besides = f" ({unreadable:,} more have rows of zeros)" if unreadable else ""
    return (
        f"{counted(k, 'neighbour')} of {counted(results['readable'], 'face')}{besides}, {results['index']}, "
        f"recall {results[every]:.3f}, {results[f'{every}_above_chance']:.3f} of neighbours above chance"
    )


@stage(
    "clustering knn",
    resumable=True,
    distributed=True,
    found=_found,
    then="python -m clustering cluster --backend hilander --embeddings {embeddings} --knn {out} --out CLUSTERS",
)
def knn(
    embeddings: Path,
    out: Path,
    k: int = DEFAULT_K,
    index: str = "auto",
    recall: float = RECALL,
    min_recall: float = MIN_RECALL,
    seed: Seed = 0,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Finds the k nearest neighbours of every face by cosine; interrupted, it goes on from its finished blocks.

    Args:
        embeddings: Embedding folder, or a file of embeddings (.npy, .npz, .h5, .pt, .pkl, .parquet, .csv, .bin;
            FILE:NAME for one of several arrays in it); float16 ones, too.
        out: Folder to make: neighbors.npy int32 [n, k] and similarities.npy float32 [n, k].
        k: Neighbours a face, itself not counted.
        index: exact; ivf, an approximate graph for hundreds of thousands of faces and more; or auto. auto takes exact
            where that takes minutes, see clustering plan.
        recall: Share of the true neighbours that ivf aims at. It decides for how many faces ivf searches again. The
            work for a face is bounded, so from about a million faces on the graph misses strangers and has a lower
            share.
        min_recall: Refuses a graph with a lower share of the neighbours above chance, as measured on a sample. A
            neighbour is above chance if fewer than one stranger is expected to be as similar. 0 accepts any graph.
        seed: Seed of the samples and of what ivf trains.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    check_shares(recall, min_recall)
    if index == "exact" and recall != RECALL:
        logger.warning("--recall has no effect: an exact graph has all neighbours")
    init_group()
    faces = load_embeddings(embeddings, scratch=out / "steps" / "embeddings.npy", unreadable=unreadable)
    check_k(k, faces)
    results = make_graph(faces, out, k, index, recall, min_recall, seed)
    barrier()  # no process reads the steps any more when they are removed
    if not is_main():
        return results
    shutil.rmtree(out / "steps", ignore_errors=True)
    return {**results, **write_not_finite(out, faces)}


def check_shares(recall: float, min_recall: float) -> None:
    """Refuses numbers that are no shares.

    Raises:
        InputError: Not in [0, 1].
    """
    for name, share in (("recall", recall), ("min-recall", min_recall)):
        if not 0 <= share <= 1:
            raise InputError(f"--{name} is {share}; it is a share of the true neighbours, from 0 to 1")


def check_k(k: int, faces: EmbeddingSet) -> None:
    """Refuses a number of neighbours that the faces cannot have.

    Raises:
        InputError: `k` below 1, or as large as the number of faces.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be at least 1")
    if k >= len(faces):
        raise InputError(
            f"{faces.path}: {counted(len(faces), 'face')}, so at most {counted(len(faces) - 1, 'neighbour')}; "
            f"k is {k}; lower it"
        )
