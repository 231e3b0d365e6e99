"""A contact sheet: clusters of faces as a person sees them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facerec.pipeline.files import InputError, load_labels
from facerec.stores.open import open_store
from facerec.stores.pixels import resized
from facerec.stores.store import Store, UnreadableFace

TILE, GAP, FRAME, LEFT = 64, 4, 3, 92
PAPER, INK, STRANGER, MISSING = (255, 255, 255), (60, 60, 60), (213, 94, 0), (225, 225, 225)
"""Colours, RGB; the frame is vermilion of the Okabe-Ito palette, told apart also by the colour-blind."""


def sheet(
    faces: Path,
    labels: Path,
    out: Path,
    truth: Path | None = None,
    clusters: int = 9,
    columns: int = 12,
    seed: int = 0,
) -> None:
    """Draws some clusters, large, middling and small, a row of faces each, into a PNG file.

    Args:
        faces: A face store.
        labels: The cluster of each face: .npy, or a folder with labels.npy; -1 = none.
        out: The picture. One that is there already stays.
        truth: Identities; faces of other than a cluster's commonest identity get a frame.
        clusters: How many, a third of each size.
        columns: Most faces of a cluster.
        seed: Draws clusters and faces.
    """
    if clusters < 1 or columns < 1:
        raise InputError(f"--clusters {clusters} --columns {columns}; at least 1 each")
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: the sheet is a picture; give --out a name ending in .png")
    if out.exists():
        return
    store = open_store(faces)
    cluster = load_labels(labels, len(store))
    identity = None if truth is None else load_labels(truth, len(store))
    if cluster.max() < 0:
        raise InputError(f"{labels}: every face is unassigned (-1); there is no cluster to draw")
    generator = np.random.default_rng(seed)
    rows = [_row(store, cluster, name, identity, columns, generator) for name in choose(cluster, clusters, generator)]
    _write(out, np.concatenate([np.full((GAP, rows[0].shape[1], 3), PAPER, np.uint8), *rows]))


def choose(cluster: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Chooses clusters to show: a third the largest, a third around the median size, a third small ones of two or more.

    Args:
        cluster: int64 [n], -1 = none.
        count: How many.
        generator: Draws the small ones.

    Returns:
        int64 [<= count] cluster names, larger ones first.
    """
    names, sizes = np.unique(cluster[cluster >= 0], return_counts=True)
    order = np.lexsort((names, -sizes))
    several = order[sizes[order] > 1] if np.any(sizes > 1) else order
    if len(several) <= count:
        return names[several]
    large = -(-count // 3)
    middle = (count - large + 1) // 2
    start = max(large, min(len(several) // 2 - middle // 2, len(several) - middle))
    rest = several[start + middle :]
    small = np.sort(generator.permutation(len(rest))[: count - large - middle])
    return names[np.concatenate([several[:large], several[start : start + middle], rest[small]])]


def _row(
    store: Store, cluster: np.ndarray, name: int, truth: np.ndarray | None, columns: int, generator: np.random.Generator
) -> np.ndarray:  # fmt: skip
    members = np.flatnonzero(cluster == name)
    shown = np.sort(generator.permutation(members)[:columns])
    picture = np.full((TILE + GAP, LEFT + columns * (TILE + GAP), 3), PAPER, np.uint8)
    lines = [f"{len(members)} faces"]
    common = -1
    if truth is not None:
        known = truth[members][truth[members] >= 0]
        common = int(np.bincount(known).argmax()) if known.size else -1
        lines.append(f"{np.mean(truth[members] == common):.0%} one person")
    for number, line in enumerate(lines):
        cv2.putText(picture, line, (4, 30 + 16 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.33, INK, 1, cv2.LINE_AA)
    for column, row in enumerate(shown):
        left = LEFT + column * (TILE + GAP)
        tile = _tile(store, row)
        if truth is not None and truth[row] != common:
            cv2.rectangle(tile, (1, 1), (TILE - 2, TILE - 2), STRANGER, FRAME)
        picture[:TILE, left : left + TILE] = tile
    return picture


def _tile(store: Store, row: int) -> np.ndarray:
    try:
        return resized(store.read(row), TILE).copy()
    except UnreadableFace:
        return np.full((TILE, TILE, 3), MISSING, np.uint8)


def _write(out: Path, picture: np.ndarray) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    temporary = out.with_name(out.name + ".partial")
    temporary.write_bytes(encoded.tobytes())
    temporary.replace(out)
