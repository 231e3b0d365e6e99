"""The command ``plan``: what clustering so many faces costs."""

from __future__ import annotations

import shutil
from pathlib import Path

from clustering.graph.costs import Costs, available_memory, choose_index, sized
from facerec.pipeline.arguments import typed
from facerec.pipeline.counts import counted
from facerec.pipeline.embedding_files import read_embedding_file
from facerec.pipeline.files import InputError


@typed
def plan(
    embeddings: Path | None = None,
    faces: int | None = None,
    dimension: int = 128,
    k: int = 10,
    index: str = "auto",
) -> None:
    """Prints what the graph and Hi-LANDER take in memory and disk, without running them.

    Args:
        embeddings: Embedding folder, or a file of embeddings, see knn: its faces and dimension count.
        faces: Number of faces, if there are no embeddings yet.
        dimension: Length of an embedding; not used with --embeddings.
        k: Neighbours a face.
        index: exact, ivf, or auto: the one that knn would choose.
    """
    if embeddings is not None and faces is None:
        file = embeddings / "embeddings.npy" if embeddings.is_dir() else embeddings
        faces, dimension = read_embedding_file(file).embeddings.shape
    elif embeddings is not None or faces is None:
        raise InputError("give --embeddings or --faces, and not both")
    for name, value in (("faces", faces), ("dimension", dimension), ("k", k)):
        if value < 1:
            raise InputError(f"--{name} is {value}; it must be at least 1")
    said = counted(faces, "face")
    if k >= faces:
        raise InputError(f"{said}, so at most {counted(faces - 1, 'neighbour')}; --k is {k}; lower it")
    chosen = choose_index(index, faces, dimension)
    print(f"{said}, d = {dimension}, k = {k}; embeddings {sized(4.0 * faces * dimension)} in float32, mapped")
    print(f"{'':14} {'memory':>12} {'disk':>12}")
    stages = {
        f"knn {chosen}": Costs.of(chosen, faces, dimension, k),
        "hilander": Costs.of_hilander(faces, dimension, k),
    }
    for name, costs in stages.items():
        print(f"{name:14} {sized(costs.memory):>12} {sized(costs.disk):>12}")
    print(f"{'available':14} {sized(available_memory()):>12} {sized(shutil.disk_usage('.').free):>12}")
