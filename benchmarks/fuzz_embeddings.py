"""Embeddings, labels and kNN lists in the formats that `fuzz` damages."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz_basics import DIMENSION, ROWS, Reader, rows


def make_embeddings(folder: Path) -> None:
    from facerec.pipeline.embeddings import save_embeddings

    save_embeddings(folder, rows()[0], [f"{row}.png" for row in range(ROWS)], rows()[1])


def read_embeddings(folder: Path) -> None:
    from clustering.learning.labelled_faces import load_labelled
    from facerec.pipeline.embeddings import load_embeddings

    load_embeddings(folder)
    load_labelled(folder, None)


def write_npz(file: Path) -> None:
    np.savez(file, embeddings=rows()[0], labels=rows()[1], files=np.array([f"{row}.png" for row in range(ROWS)]))


def write_h5(file: Path) -> None:
    import h5py

    with h5py.File(file, "w") as opened:
        opened["set/features"], opened["set/labels"] = rows()
        opened["set/files"] = [f"{row}.png" for row in range(ROWS)]


def write_pt(file: Path) -> None:
    import torch

    torch.save({"features": torch.tensor(rows()[0]), "labels": torch.tensor(rows()[1])}, file)


def write_raw(file: Path) -> None:
    rows()[0].tofile(file)
    file.with_suffix(".meta").write_text("".join(f"{label}\n" for label in rows()[1]))


def write_csv(file: Path) -> None:
    head = ",".join(["file", "label", *(f"f{column}" for column in range(DIMENSION))])
    lines = [f"{row}.png,{rows()[1][row]}," + ",".join(map(str, rows()[0][row])) for row in range(ROWS)]
    file.write_text("\n".join([head, *lines]) + "\n")


def write_lists(file: Path) -> None:
    text = "".join(f'"{vector.tolist()}";p{label}\n' for vector, label in zip(*rows(), strict=True))
    file.write_text(f"embedding;person\n{text}")


def write_parquet(file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"{row}.png" for row in range(ROWS)]
    pq.write_table(pa.table({"file": names, "embedding": rows()[0].tolist(), "label": rows()[1]}), file)


def embedding_file(name: str, write: Callable[[Path], object]) -> Reader:
    """A reader of one file of embeddings, of its labels, and as a file with a named part."""

    def read(folder: Path) -> None:
        from facerec.pipeline.embeddings import load_embeddings
        from facerec.pipeline.label_files import load_labels

        load_labels(folder / name)
        load_embeddings(folder / name, unreadable="skip")

    return Reader(lambda folder: write(folder / name), read)


def make_label_files(folder: Path) -> None:
    (folder / "numbers.meta").write_text("".join(f"{label}\n" for label in rows()[1]))
    (folder / "names.txt").write_text("".join(f"person {label}\n" for label in rows()[1]))
    (folder / "column.csv").write_text("file,identity\n" + "".join(f"{row}.png,p{row % 3}\n" for row in range(ROWS)))


def read_label_files(folder: Path) -> None:
    from facerec.pipeline.label_files import load_labels

    for name in ("numbers.meta", "names.txt", "column.csv"):
        load_labels(folder / name)


def make_reference_knn(folder: Path) -> None:
    order = np.argsort(-(rows()[0] @ rows()[0].T), axis=1)[:, :4]
    distances = 1 - np.take_along_axis(rows()[0] @ rows()[0].T, order, axis=1)
    np.savez_compressed(folder / "knn.npz", data=np.stack([order, distances], axis=1))


def read_reference_knn(folder: Path) -> None:
    from clustering.graph.knn_graph import KnnGraph

    KnnGraph.load(folder / "knn.npz", rows()[0])


READERS = {
    "embeddings": Reader(make_embeddings, read_embeddings),
    "npz": embedding_file("x.npz", write_npz),
    "h5": embedding_file("x.h5", write_h5),
    "pt": embedding_file("x.pt", write_pt),
    "pickle": embedding_file("x.pkl", lambda file: file.write_bytes(pickle.dumps(rows()))),
    "old pickle": embedding_file("x.pkl", lambda file: file.write_bytes(pickle.dumps(rows(), 0))),
    "raw floats": embedding_file("x.bin", write_raw),
    "csv": embedding_file("x.csv", write_csv),
    "csv of lists": embedding_file("x.csv", write_lists),
    "vectors": embedding_file("x.parquet", write_parquet),
    "labels": Reader(make_label_files, read_label_files),
    "reference knn": Reader(make_reference_knn, read_reference_knn),
}
