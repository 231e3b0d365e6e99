"""The command ``cluster``: embeddings to clusters with any backend."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.answers.clustered import clusters_of_nodes
from clustering.answers.file import ANSWERS, load_answers, save_answers
from clustering.backends.changed import with_changes
from clustering.backends.registry import load_clusterer
from clustering.clusterer import Clusterer
from clustering.graph.build import graph_in
from clustering.graph.knn_graph import KnnGraph
from clustering.graph.nodes import Nodes
from clustering.quality.estimate import FEWEST, estimate_quality
from clustering.result import Clustering
from clustering.similarity.doubts import doubts
from clustering.similarity.same_faces import save_cosines, say_if_strangers
from clustering.similarity.same_recogniser import check_model
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import EmbeddingSet, Unreadable, load_embeddings, save_names, write_not_finite
from facerec.pipeline.ranks import barrier, init_group, is_main
from facerec.pipeline.stage import stage

logger = logging.getLogger(__name__)
MOST_ESTIMATED = 200_000
"""Most faces for which the quality is estimated here: the estimate copies the embeddings into memory."""


def _found(results: Mapping[str, Any]) -> str:
    none = ", {unassigned:face} in none" if results["unassigned"] else ""
    text = "{faces:face} in {clusters:cluster}, {alone:,} of one face" + none + "; the largest has {largest:,}"
    return told(text)(results)


@stage(
    "clustering cluster",
    resumable=True,
    distributed=True,
    found=_found,
    then="python -m clustering review --clusters {out} --embeddings {embeddings} --thumbnails THUMBNAILS --out REVIEW",
)
def cluster(
    backend: str,
    embeddings: Path,
    out: Path,
    model: Path | None = None,
    knn: Path | None = None,
    set: list[str] | None = None,  # noqa: A002 (an option's name)
    answers: Path | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Clusters faces with one of the backends; interrupted, it goes on from the finished blocks of the graph.

    Copies are faces that are nearly the same picture. They count as one where they would fill the lists of neighbours.
    At the end the command estimates without labels how good the clusters are; see estimate.

    Args:
        backend: One of aro, components, dbscan, finch, gcn_e, gcn_v, graclus, hac_average, hac_single, hdbscan,
            hilander, infomap, kmeans, l2c, lander, leiden, lgcn. --backend NAME --help lists its settings.
        embeddings: Embedding folder, or a file of embeddings (.npy, .npz, .h5, .pt, .pkl, .parquet, .csv, .bin;
            FILE:NAME for one of several arrays in it); float16 ones, too.
        out: Folder to make: labels.npy, confidence.npy, cosines.npy, levels/, config.yaml, keys.txt; with --answers
            answers.json.
        model: Folder made by tune, train, pretrain or import. gcn_e, gcn_v, l2c, lander and lgcn need one. Without it
            hilander has its packaged model, and the other backends have their defaults. If the largest clusters look
            mixed, hilander, components, dbscan, hac_single and hdbscan tighten their thresholds. adaptive in
            config.yaml turns that off.
        knn: Folder made by knn from the same embeddings, or learn-to-cluster's kNN file (.npz). Without it the graph is
            built here, with the index that knn chooses by itself.
        set: Settings that replace the model's or the defaults, as NAME=VALUE, once or several times. A threshold that
            is set is not tightened.
        answers: File of answers about pairs of faces, made by ask or saved by the page of review. The clusters agree
            with them. hilander and lander use them while they cluster; the clusters of other backends are corrected.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    clusterer = with_changes(load_clusterer(backend, model), set or [])
    init_group()
    made = out / "graph"
    faces = load_embeddings(embeddings, scratch=made / "embeddings.npy", unreadable=unreadable)
    if model is not None and is_main():
        check_model(model, faces)
    given = None if answers is None else load_answers(answers, len(faces), faces.keys)
    known = None if given is None else given.constraints(len(faces), faces.keys or ())
    if answers is not None and known is not None:
        say_if_strangers(answers, known.together, faces)
    if known is not None and not len(known):
        logger.warning("%s: no answer in it is yes or no, so it changes nothing; answer the questions first", answers)
    graph = graph_in(faces, knn, clusterer.k, made)
    if zeros := len(graph) - int(np.count_nonzero(graph.readable)):
        logger.info("%s of %s faces are unreadable (rows of zeros): no cluster has them", zeros, len(graph))
    nodes = Nodes.of(graph, clusterer.k, made / "nodes", known)
    works = is_main() or clusterer.distributed  # without distributed work the first process clusters alone
    clustering = clusters_of_nodes(clusterer, nodes) if works else None
    barrier()  # no process reads the graph any more when it is removed
    if clustering is None or not is_main():
        return {}
    for said in filter(None, (clustering.warning, doubts(nodes.graph, clustering.labels))):
        logger.warning("%s", said)
    estimate = _estimate(nodes.graph, clustering.labels)
    clustering = clustering.expanded(nodes.copies)
    _write(out, clustering, clusterer, faces)
    if given is not None:
        save_answers(out / ANSWERS, given, faces.keys)
    return {**_figures(clustering.labels, nodes), **write_not_finite(out, faces), **clustering.notes, **estimate}


def _figures(labels: np.ndarray, nodes: Nodes) -> dict[str, int]:
    """Numbers of faces and clusters, for meta.json."""
    sizes = np.bincount(labels[labels >= 0])
    return {
        "faces": len(labels),
        "copies": nodes.found,
        "clusters": int(labels.max()) + 1,
        "unassigned": int(np.count_nonzero(labels < 0)),
        "alone": int(np.count_nonzero(sizes == 1)),
        "largest": int(sizes.max(initial=0)),
    } | ({} if nodes.known is None else {"answers": len(nodes.known)})


def _estimate(graph: KnnGraph, labels: np.ndarray) -> dict[str, Any]:
    """Logs how good the clusters are likely to be, and returns the figures for meta.json."""
    if len(graph) > MOST_ESTIMATED:
        logger.info(
            "more than %s faces: python -m clustering estimate tells how good the clusters are", f"{MOST_ESTIMATED:,}"
        )
        return {}
    quality = estimate_quality(graph, labels)
    if quality is None:
        if np.count_nonzero(graph.readable) >= FEWEST:
            logger.info(
                "%d neighbours a face are too few to estimate how good the clusters are: python -m clustering estimate "
                "makes a graph of more", graph.k,
            )  # fmt: skip
        return {}
    logger.info("%s", quality.say())
    if quality.doubt():
        logger.warning("%s", quality.doubt())
    return {"estimate": quality.as_json()}


def _write(out: Path, clustering: Clustering, clusterer: Clusterer, faces: EmbeddingSet) -> None:
    """Writes the clusters and the settings that made them, and removes the graph."""
    shutil.rmtree(out / "levels", ignore_errors=True)
    clusterer.save_pretrained(out)
    clustering.save(out)
    save_cosines(faces.embeddings, out)
    save_names(out, faces.keys)
    shutil.rmtree(out / "graph", ignore_errors=True)
