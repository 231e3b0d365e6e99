"""One reader for every file of embeddings: ``FILE`` or, where it holds several arrays, ``FILE:NAME``.

====================  ===================================================================================
.npy                  floats [n, d], mapped
.npz, .h5, .hdf5      arrays by name
.pt, .pth             what ``torch.save`` wrote: a tensor, a dictionary, or features and labels
.pkl, .pickle         arrays: one, a dictionary, or Hi-LANDER's ``(features, labels)``; nothing is run
.parquet, .csv, .tsv  a column of vectors, or numbered columns; labels and file names in others
.txt                  as ``numpy.savetxt`` writes them
.bin                  learn-to-cluster's raw float32, mapped; ``FILE.bin:256`` gives the dimension
====================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from facerec.pipeline.array_files import h5_entries, npz_entries, pickle_entries, torch_entries
from facerec.pipeline.entries import Contents, Entry, contents_of
from facerec.pipeline.files import InputError, load_array, read_lines
from facerec.pipeline.named_part import split_part
from facerec.pipeline.raw_floats import map_raw, meta_of
from facerec.pipeline.table_files import csv_entries, parquet_entries

READERS: Mapping[str, Callable[[Path], dict[str, Entry]]] = {
    ".npz": npz_entries, ".h5": h5_entries, ".hdf5": h5_entries, ".pt": torch_entries, ".pth": torch_entries,
    ".pkl": pickle_entries, ".pickle": pickle_entries, ".parquet": parquet_entries, ".csv": csv_entries,
    ".tsv": csv_entries, ".txt": csv_entries,
}  # fmt: skip
"""By suffix; each gives what a file holds, by name."""


def read_embedding_file(path: Path, rows: int | None = None) -> Contents:
    """Reads a file of embeddings.

    Args:
        path: The file, or ``FILE:NAME``.
        rows: How many there must be, if that is known; for raw float32.

    Raises:
        InputError: Missing, damaged, or without embeddings; several arrays that can be these, which it names.
    """
    file, part = split_part(path)
    suffix = file.suffix.lower()
    if suffix == ".bin":
        embeddings, meta = map_raw(file, part, rows), meta_of(file)
        return Contents(embeddings, None if meta is None else np.array(read_lines(meta), object))
    if suffix in READERS:
        return contents_of(READERS[suffix](file), file, part)
    if part is not None:
        raise InputError(f"{file}: {suffix or 'such a file'} has no parts; leave :{part} out")
    return Contents(load_array(file, kind="f", ndim=2))
