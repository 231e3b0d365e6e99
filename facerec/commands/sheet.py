"""The command ``sheet``: clusters of faces as a person sees them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt

from facerec.pipeline.arguments import Seed, typed
from facerec.pipeline.counts import counted
from facerec.pipeline.files import InputError, check_target, refuse_inside
from facerec.stores.cluster_sheet import draw_clusters, write_png
from facerec.stores.open import open_store
from facerec.stores.pixels import MOST_PIXELS

logger = logging.getLogger(__name__)


@typed
def sheet(
    faces: Path,
    labels: Path,
    out: Path,
    truth: Path | None = None,
    clusters: PositiveInt = 9,
    columns: PositiveInt = 12,
    seed: Seed = 0,
    max_pixels: PositiveInt = MOST_PIXELS,
) -> None:
    """Draws some clusters, large, middling and small, a row of faces each, into a PNG file.

    Args:
        faces: A face store.
        labels: The cluster of each face: .npy, or a folder with labels.npy; -1 = none.
        out: The picture. An existing one is kept.
        truth: Identities, -1 = unknown. Faces of another one than their cluster's most frequent get a frame.
        clusters: How many clusters to draw, a third of each size.
        columns: Most faces that are drawn of a cluster.
        seed: Seed with which clusters and faces are drawn.
        max_pixels: Height times width; a larger picture is skipped before it is decoded.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: the sheet is a picture; give --out a name ending in .png")
    check_target(out)
    refuse_inside(out, "--faces", faces, "the sheet would count as a further face")
    if out.exists():
        logger.info("%s: already there; remove it to draw it anew", out)
        return
    store = open_store(faces, max_pixels)
    cluster = store.labels_in(labels)
    identity = None if truth is None else store.labels_in(truth)
    if cluster.max() < 0:
        raise InputError(f"{labels}: every face is unassigned (-1); there is no cluster to draw")
    write_png(out, draw_clusters(store, cluster, identity, clusters, min(columns, len(store)), seed))
    found = int(np.unique(cluster[cluster >= 0]).size)
    logger.info("%s: %d of %s", out, min(clusters, found), counted(found, "cluster"))
