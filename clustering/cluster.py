"""The command ``cluster``: embeddings to clusters with any backend."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from clustering import base
from clustering.base import Clusterer
from clustering.knn import KnnGraph, make_graph
from facerec.artifacts import EmbeddingSet, InputError, load_embeddings, read_yaml
from facerec.processes import barrier, is_main, join
from facerec.stages import stage

logger = logging.getLogger(__name__)

PRETRAINED = {"hilander": Path(__file__).parent / "hilander" / "pretrained"}


@stage("clustering cluster", resumable=True, distributed=True)
def cluster(
    backend: str, embeddings: Path, out: Path, model: Path | None = None, knn: Path | None = None
) -> Mapping[str, Any]:
    """Clusters faces with one of the backends; interrupted, it goes on from the finished blocks of the graph.

    Args:
        backend: One of aro, components, dbscan, finch, gcn_e, gcn_v, graclus, hac_average, hac_single, hdbscan,
            hilander, infomap, kmeans, l2c, lander, leiden, lgcn.
        embeddings: Folder with embeddings.npy, or such a file; float16 ones are accepted, too.
        out: Folder to make: labels.npy, confidence.npy, levels/, config.yaml.
        model: Folder made by tune, train, pretrain or import; without it the backend's defaults: hilander has a model
            that was trained on simulated embeddings (see pretrain), other backends that learn have none. Hi-LANDER
            raises its p_tau where clusters come out as mixtures of people; config.yaml's adaptive turns that off.
        knn: Folder made by knn from the same embeddings; without it the graph is built here, with the index that knn
            chooses by itself.
    """
    clusterer = load_clusterer(backend, model)
    join()
    made = out / "graph"
    faces = load_embeddings(embeddings, scratch=made / "embeddings.npy")
    if knn is None:
        make_graph(faces, made, _neighbors(faces, clusterer.k))
    graph = load_graph(faces, made if knn is None else knn, clusterer.k)
    works = is_main() or clusterer.over_ranks  # else the first process does all after the graph
    clustering = clusterer.cluster(graph) if works else None
    barrier()  # before what the others read is removed
    if clustering is None or not is_main():
        return {}
    shutil.rmtree(out / "levels", ignore_errors=True)
    clustering.save(out)
    clusterer.save(out)
    shutil.rmtree(made, ignore_errors=True)
    if clustering.warning:
        logger.warning("%s", clustering.warning)
    return {
        "faces": len(faces),
        "clusters": int(clustering.labels.max()) + 1,
        "unassigned": int(np.count_nonzero(clustering.labels < 0)),
        **clustering.notes,
    }


def load_clusterer(name: str, model: Path | None) -> Clusterer:
    """A backend with the settings and weights of a model folder, or with its defaults.

    Raises:
        InputError: Unknown backend; a model folder of another backend; no model for a backend that needs one.
    """
    found = base.backend(name)
    model = PRETRAINED.get(name) if model is None else model
    if model is None:
        if found.learns:
            raise InputError(
                f"{name} needs a model trained on labelled faces, as --model MODEL; make one with 'python -m "
                f"clustering train --backend {name} --embeddings EMB --labels LABELS --out MODEL', or with tune"
            )
        return found.load(Path(), {})
    settings = read_yaml(model / "config.yaml")
    if settings.pop("backend", None) != name:
        raise InputError(f"{model / 'config.yaml'}: not a model of {name}; its first line must be 'backend: {name}'")
    return found.load(model, settings)


def load_graph(faces: EmbeddingSet, knn: Path, k: int) -> KnnGraph:
    """The faces' graph from disk; a warning if it has fewer than `k` neighbours a face, and could have them."""
    graph = KnnGraph.load(knn, faces.embeddings)
    if graph.k < _neighbors(faces, k):
        logger.warning("%s: has %d neighbours a face; the backend was made for %d", knn, graph.k, k)
    return graph


def graph_of(faces: EmbeddingSet, knn: Path | None, k: int, out: Path) -> KnnGraph:
    """The faces' graph: from disk if a folder is given, else made below `out` for a while and kept in memory.

    Raises:
        InputError: As `KnnGraph.load`; or too little room to make it, see `check_room`.
    """
    if knn is not None:
        return load_graph(faces, knn, k)
    with TemporaryDirectory(dir=out) as made:
        make_graph(faces, Path(made), _neighbors(faces, k))
        graph = KnnGraph.load(Path(made), faces.embeddings)
        return replace(graph, neighbors=np.array(graph.neighbors), similarities=np.array(graph.similarities))


def _neighbors(faces: EmbeddingSet, k: int) -> int:
    return max(min(k, len(faces) - 1), 1)
