"""The command ``levels``: the hierarchy of a clustering as a table."""

from __future__ import annotations

from pathlib import Path

from clustering.hierarchy import Hierarchy
from facerec.pipeline.arguments import typed
from facerec.pipeline.console import show_table


@typed
def levels(clusters: Path, json: Path | None = None) -> None:
    """Shows the levels of a hierarchy: clusters, their sizes, and the edges that each level added.

    Args:
        clusters: Folder made by cluster with a hierarchical backend.
        json: Also write the table into this file.
    """
    table = Hierarchy.load(clusters).table()
    show_table(table, json)
