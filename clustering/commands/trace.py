"""The command ``trace``: the way of a face through the hierarchy."""

from __future__ import annotations

from pathlib import Path

from clustering.hierarchy import Hierarchy
from facerec.pipeline.arguments import typed
from facerec.pipeline.console import show_table


@typed
def trace(clusters: Path, face: int, json: Path | None = None) -> None:
    """Shows the way of a face through the hierarchy to the peak of its cluster.

    Args:
        clusters: Folder made by cluster with hilander or lander.
        face: Row of the face.
        json: Also write the table into this file.
    """
    show_table(Hierarchy.load(clusters).trace(face), json)
