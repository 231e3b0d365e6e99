"""The command ``store``: packs a face store into tar shards."""

from __future__ import annotations

from pathlib import Path

from jsonargparse.typing import PositiveInt

from facerec.pipeline.counts import told
from facerec.pipeline.stage import stage
from facerec.stores.open import open_store
from facerec.stores.shards import write_index, write_shards
from facerec.stores.store import INDEX


@stage(
    "facerec store",
    found=told("{faces:face} in {shards:shard}"),
    then="python -m facerec embed --model MODEL --faces {out} --out EMBEDDINGS",
)
def store(faces: Path, out: Path, shard_megabytes: PositiveInt = 256) -> dict[str, int]:
    """Packs a face store into tar shards, in the layout of WebDataset, with an index for random access.

    Args:
        faces: The face store to pack.
        out: Folder for ``faces-000000.tar`` ... and ``index.parquet``.
        shard_megabytes: Size at which the next shard is begun.
    """
    source = open_store(faces)
    shard, offset, length = zip(*write_shards(source, out, shard_megabytes << 20), strict=True)
    write_index(out / INDEX, (shard, offset, length, source.keys, source.identities))
    return {"faces": len(source), "shards": len(set(shard))}
