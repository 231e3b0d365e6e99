"""The command ``pictures``: faces of any store as files, at the places that a table names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facerec.pipeline.counts import told
from facerec.pipeline.files import refuse_inside, write_table
from facerec.pipeline.stage import stage
from facerec.stores.open import open_store
from facerec.stores.pictures import read_places, write_pictures


@stage(
    "facerec pictures",
    found=told("{faces:picture}; {skipped:face} skipped, see skipped.csv"),
    then="python -m facerec embed --model MODEL --faces {out} --out EMBEDDINGS",
)
def pictures(faces: Path, out: Path, table: Path | None = None) -> Mapping[str, int]:
    """Writes the faces of a store as files, whatever it keeps them in: records, tar shards, lists.

    With the table of `clustering export --as csv` they are in a folder for each person.

    Args:
        faces: A face store.
        out: Folder to make.
        table: CSV with the columns key and file: which faces, and the place of each below OUT. A place without a
            picture's suffix gets that of its format. Without it all faces are written under their keys.
    """
    refuse_inside(out, "--faces", faces, "copies would count as further faces")
    store = open_store(faces)
    written, skipped = write_pictures(store, read_places(table, store), out)
    write_table(out / "skipped.csv", ("key", "reason"), skipped)
    return {"faces": written, "skipped": len(skipped)}
