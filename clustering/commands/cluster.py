"""The command ``cluster``: embeddings to clusters with any backend."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.backends.registry import load_clusterer
from clustering.graph.build import load_graph, make_graph, neighbors_wanted
from clustering.similarity.doubts import doubts
from facerec.pipeline.embeddings import Unreadable, load_embeddings, write_not_finite
from facerec.pipeline.ranks import barrier, init_group, is_main
from facerec.pipeline.stage import stage

logger = logging.getLogger(__name__)


@stage("clustering cluster", resumable=True, distributed=True)
def cluster(
    backend: str,
    embeddings: Path,
    out: Path,
    model: Path | None = None,
    knn: Path | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Clusters faces with one of the backends; interrupted, it goes on from the finished blocks of the graph.

    Args:
        backend: One of aro, components, dbscan, finch, gcn_e, gcn_v, graclus, hac_average, hac_single, hdbscan,
            hilander, infomap, kmeans, l2c, lander, leiden, lgcn.
        embeddings: Embedding folder, or a file of embeddings (.npy, .npz, .h5, .pt, .pkl, .parquet, .csv, .bin;
            FILE:NAME for one of several arrays in it); float16 ones, too.
        out: Folder to make: labels.npy, confidence.npy, levels/, config.yaml.
        model: Folder made by tune, train, pretrain or import; without it the backend's defaults: hilander has a model
            that was trained on simulated embeddings (see pretrain), other backends that learn have none. Hi-LANDER
            raises its p_tau where clusters come out as mixtures of people; config.yaml's adaptive turns that off.
            Without a model components, dbscan, hac_single and hdbscan tighten their thresholds likewise.
        knn: Folder made by knn from the same embeddings, or learn-to-cluster's kNN file (.npz); without it the graph is
            built here, with the index that knn chooses by itself.
        unreadable: What becomes of embeddings with NaN or infinite values: refuse, or skip, as faces that could not be
            read.
    """
    clusterer = load_clusterer(backend, model)
    init_group()
    made = out / "graph"
    faces = load_embeddings(embeddings, scratch=made / "embeddings.npy", unreadable=unreadable)
    if knn is None:
        make_graph(faces, made, neighbors_wanted(faces, clusterer.k))
    graph = load_graph(faces, made if knn is None else knn, clusterer.k)
    works = is_main() or clusterer.distributed  # else the first process does all after the graph
    clustering = clusterer.cluster(graph) if works else None
    barrier()  # before what the others read is removed
    if clustering is None or not is_main():
        return {}
    shutil.rmtree(out / "levels", ignore_errors=True)
    clustering.save(out)
    clusterer.save_pretrained(out)
    shutil.rmtree(made, ignore_errors=True)
    for said in filter(None, (clustering.warning, doubts(graph, clustering.labels))):
        logger.warning("%s", said)
    return {
        "faces": len(faces),
        "clusters": int(clustering.labels.max()) + 1,
        "unassigned": int(np.count_nonzero(clustering.labels < 0)),
        **write_not_finite(out, faces),
        **clustering.notes,
    }
