"""The command ``estimate``: how good a clustering is, without labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clustering.graph.build import graph_of
from clustering.graph.nodes import Nodes
from clustering.quality.estimate import FEWEST, FEWEST_NEIGHBORS, NEIGHBORS, estimate_quality
from clustering.quality.estimator import PACKAGED, PEOPLE, Estimator
from clustering.similarity.same_faces import check_faces
from facerec.pipeline.console import show_kept_table
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import Unreadable, load_embeddings
from facerec.pipeline.files import InputError, write_json
from facerec.pipeline.label_files import load_labels
from facerec.pipeline.stage import stage

COLUMNS = ("figure", "estimate", "low", "high")


@stage(
    "clustering estimate",
    found=lambda results: results["said"],
    then="python -m clustering review --clusters {clusters} --embeddings {embeddings} --thumbnails THUMBNAILS "
    "--out REVIEW",
)
def estimate(
    embeddings: Path,
    clusters: Path,
    out: Path,
    knn: Path | None = None,
    model: Path | None = None,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Estimates without labels how good a clustering is, whatever made it: precision, recall, F, and how many people.

    Each figure has a 90 % interval. The estimate was learned on simulated corpora, see calibrate. Copies (nearly the
    same picture) count once where they fill the lists of neighbours, as in cluster.

    Args:
        embeddings: What was clustered: embedding folder, or a file of embeddings, see knn.
        clusters: Folder made by cluster, or a file of labels (-1 = unassigned).
        out: Folder to make: estimate.json with estimate, low and high of each figure.
        knn: Graph of the embeddings, a folder made by knn; without it the graph is built here.
        model: Folder made by calibrate; by default the estimate that comes with the package.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    estimator = Estimator.load(PACKAGED if model is None else model)
    labels = load_labels(clusters)
    faces = load_embeddings(embeddings, rows=len(labels), unreadable=unreadable)
    check_faces(clusters, labels, faces)
    with TemporaryDirectory(dir=out) as made:
        nodes = Nodes.of(graph_of(faces, knn, NEIGHBORS, out), NEIGHBORS, Path(made))
        found = estimate_quality(nodes.graph, labels[nodes.copies.first], estimator)
    if found is None:
        given = f"{counted(int(faces.readable.sum()), 'readable face')} with {counted(nodes.graph.k, 'neighbour')}"
        raise InputError(
            f"{embeddings}: {given}; the estimate needs {FEWEST} with {FEWEST_NEIGHBORS}; "
            "look at the clusters, or make the graph with more neighbours"
        )
    content = found.as_json()
    write_json(out / "estimate.json", content)
    rows = [(name, *content[name]) for name in (*found.figures, PEOPLE)]
    show_kept_table([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    return {**content, "said": "; ".join(filter(None, (found.say(), found.doubt())))}
