"""A contact sheet of clusters: a row of faces each, with a frame around those of other people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facerec.pipeline.contact_sheet import contact_sheet
from facerec.pipeline.files import write_whole
from facerec.stores.pixels import resized
from facerec.stores.store import Store, UnreadableFace

TILE, GAP, FRAME, LEFT = 64, 4, 3, 132
INK, STRANGER, MISSING = 122, (213, 94, 0), 225
"""Colours, RGB or grey. The ink reads on white and on dark paper. The frame is vermilion of the Okabe-Ito palette, told
apart also by the colour-blind."""


def draw_clusters(
    store: Store, cluster: np.ndarray, truth: np.ndarray | None, clusters: int, columns: int, seed: int
) -> np.ndarray:
    """Draws some clusters, large, middling and small, a row of faces each.

    Args:
        store: The faces.
        cluster: int64 [n], -1 = none.
        truth: Identities, int64 [n], -1 = unknown; faces of another than a cluster's commonest identity get a frame.
        clusters: How many; see `choose`.
        columns: Most faces of a cluster.
        seed: Draws clusters and faces.

    Returns:
        uint8 RGBA [height, width, 4]; the paper is transparent.
    """
    generator = np.random.default_rng(seed)
    rows, texts = [], []
    for name in choose(cluster, clusters, generator):
        members = np.flatnonzero(cluster == name)
        shown = np.sort(generator.permutation(members)[:columns])
        common, share = (None, "") if truth is None else _commonest(truth[members])
        rows.append([_tile(store, row, truth is not None and truth[row] not in (common, -1)) for row in shown])
        texts.append([f"{len(members)} faces", share])
    sheet = contact_sheet(rows, columns, TILE, INK, GAP, LEFT)
    opaque = np.full((TILE, TILE, 3), 255, np.uint8)
    cover = contact_sheet([[opaque] * len(row) for row in rows], columns, TILE, 0, GAP, LEFT)[..., 0].copy()
    for number, lines in enumerate(texts):
        for line, text in enumerate(lines):
            place = (2, GAP + number * (TILE + GAP) + 28 + 20 * line)
            cv2.putText(cover, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    return np.dstack([sheet, cover])


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


def _commonest(identities: np.ndarray) -> tuple[int, str]:
    """The commonest of some identities, and a text that says what share of the known faces has it; -1 if none is."""
    names, counts = np.unique(identities[identities >= 0], return_counts=True)
    if not names.size:
        return -1, "unknown people"
    share = counts.max() / counts.sum()
    return int(names[counts.argmax()]), "one person" if share == 1 else f"{share:.0%} one person"


def _tile(store: Store, row: int, framed: bool) -> np.ndarray:
    try:
        tile = resized(store.read(row), TILE).copy()
    except UnreadableFace:
        tile = np.full((TILE, TILE, 3), MISSING, np.uint8)
    if framed:
        cv2.rectangle(tile, (1, 1), (TILE - 2, TILE - 2), STRANGER, FRAME)
    return tile


def write_png(out: Path, picture: np.ndarray) -> None:
    """Writes uint8 RGBA [height, width, 4], see `write_whole`."""
    write_whole(out, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))[1].tobytes())
