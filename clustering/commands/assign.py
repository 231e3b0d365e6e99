"""The command ``assign``: new faces to an existing clustering, which stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clustering.pseudolabels.new_faces import assign_new_faces
from clustering.settings import check_number
from clustering.similarity.same_faces import check_faces, save_cosines
from facerec.pipeline.counts import told
from facerec.pipeline.embeddings import Unreadable, load_embeddings, refuse_other_length, save_names
from facerec.pipeline.files import write_json
from facerec.pipeline.label_files import load_labels
from facerec.pipeline.same_recogniser import check_recogniser
from facerec.pipeline.stage import stage
from facerec.pipeline.values import whole


@stage(
    "clustering assign",
    found=told(
        "{joined:,} of {faces:new face} joined clusters, {founding:,} founded {new_clusters:,} new ones, "
        "{unassigned:,} are unassigned"
    ),
    then="python -m clustering review --clusters {out} --embeddings {new} --thumbnails THUMBNAILS --out REVIEW",
)
def assign(
    clusters: Path,
    embeddings: Path,
    new: Path,
    out: Path,
    similarity: float | None = None,
    min_size: int = 2,
    unreadable: Unreadable = "refuse",
) -> Mapping[str, Any]:
    """Adds new faces to an existing clustering: each joins a cluster, founds one with others, or stays unassigned.

    Args:
        clusters: Folder made by cluster, or a file of labels; it stays as it is.
        embeddings: The embeddings that were clustered.
        new: Embeddings of the new faces, by the same recogniser.
        out: Folder to make, for the new faces: labels.npy (-1 = unassigned; new clusters are numbered after the old
            ones), confidence.npy, cosines.npy, summary.json; keys.txt where the faces have names.
        similarity: Least cosine with a cluster's centre at which a face joins the cluster. By default it is chosen on
            the old faces. An old face that is taken out should join its cluster again. If its whole cluster is taken
            out, it should join none. The cosine for which this holds most often is chosen.
        min_size: Fewest new faces that found a cluster.
        unreadable: Embeddings with NaN or infinite values: refuse them, or skip them as unreadable faces.
    """
    whole("min_size", min_size, 1)
    if similarity is not None:
        check_number("similarity", similarity, -1, 1)
    old, faces = (load_embeddings(path, unreadable=unreadable) for path in (embeddings, new))
    labels = load_labels(clusters, len(old))
    refuse_other_length(faces.embeddings, new, old)
    check_faces(clusters, labels, old)
    check_recogniser(old, faces)
    found, confidence, summary = assign_new_faces(old.embeddings, labels, faces.embeddings, similarity, min_size)
    save_names(out, faces.keys, found)
    np.save(out / "confidence.npy", confidence, allow_pickle=False)
    save_cosines(faces.embeddings, out)
    write_json(out / "summary.json", summary)
    return summary
