"""The kNN graph that every backend works on."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clustering.graph.exact import search
from clustering.graph.reference_lists import read_reference_lists
from facerec.pipeline.counts import counted
from facerec.pipeline.embeddings import is_unit, readable_rows, unit_rows
from facerec.pipeline.files import InputError, load_array, row_blocks
from facerec.pipeline.named_part import split_part
from facerec.pipeline.values import as_array, as_path, shown, whole

DEFAULT_K = 10
MOST_K = 1 << 14
CHECKED_ROWS = 256
COSINE_TOLERANCE = 2e-3  # float16 embeddings

Search = Callable[[np.ndarray, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class KnnGraph:
    """Embeddings with the nearest neighbours of every row by cosine.

    Attributes:
        embeddings: float32 [n, d], unit rows; zero rows for faces that could not be read.
        neighbors: int32 [n, k], never the row itself; -1 for missing neighbours.
        similarities: float32 [n, k], cosines in descending order; 0 for missing neighbours.

    Raises:
        InputError: The shapes do not fit. `check` also looks at the values.
    """

    embeddings: np.ndarray
    neighbors: np.ndarray
    similarities: np.ndarray

    def __post_init__(self) -> None:
        for name in ("embeddings", "neighbors", "similarities"):  # lists and tensors, too
            object.__setattr__(self, name, as_array(name, getattr(self, name)))
        shapes = [array.shape for array in (self.embeddings, self.neighbors, self.similarities)]
        if [len(shape) for shape in shapes] != [2, 2, 2] or shapes[1] != shapes[2] or shapes[0][0] != shapes[1][0]:
            names = ", ".join(str(list(shape)) for shape in shapes)
            raise InputError(f"embeddings, neighbors, similarities: {names}; expected shapes [n, d], [n, k], [n, k]")

    def __len__(self) -> int:
        return len(self.neighbors)

    def __repr__(self) -> str:
        return f"<KnnGraph: {self.k} neighbours of {counted(len(self), 'face')}>"

    @property
    def k(self) -> int:
        """Neighbours per row, including missing ones."""
        return int(self.neighbors.shape[1])

    @property
    def valid(self) -> np.ndarray:
        """Bool [n, k]: where there is a neighbour."""
        return self.neighbors >= 0

    @property
    def readable(self) -> np.ndarray:
        """Bool [n]: False for zero rows (faces that could not be read)."""
        return readable_rows(self.embeddings)

    @classmethod
    def build(cls, embeddings: np.ndarray, k: int, find: Search = search) -> KnnGraph:
        """Builds the exact graph. Rows with fewer than `k` possible neighbours are padded with -1.

        Zero rows have no neighbours, and are neighbours of no row. Equal similarities are in ascending order of index.

        Args:
            embeddings: [n, d] of any numeric type, length and memory order. Rows are normalised if necessary.
            k: Neighbours per row.
            find: `search`, or a function that finds the same.

        Raises:
            InputError: `embeddings` are not a numeric array of two dimensions with at least one face, or have NaN or
                infinite values (the message names the row); or `k` is not a whole number from 1 to `MOST_K`.
        """
        k = whole("k", k, 1, MOST_K)
        embeddings = unit_rows(embeddings)
        neighbors = np.full((len(embeddings), k), -1, dtype=np.int32)
        similarities = np.zeros((len(embeddings), k), dtype=np.float32)
        rows = np.flatnonzero(readable_rows(embeddings))
        neighbors[rows], similarities[rows] = find(embeddings, rows, rows, k)
        return cls(embeddings, neighbors, similarities)

    @classmethod
    def load(cls, folder: str | Path, embeddings: np.ndarray) -> KnnGraph:
        """Loads a graph as memory maps, and checks that it fits the embeddings.

        Args:
            folder: Made by knn; or learn-to-cluster's .npz file, see `clustering.graph.reference_lists`.
            embeddings: float32 [n, d], unit or zero rows.

        Raises:
            InputError: Files are missing or unusable; the graph has another number of rows than the embeddings;
                neighbours are out of range, the row itself or there twice. Or similarities are NaN, not in descending
                order, or not the cosines of these embeddings.
        """
        folder = as_path("folder", folder)
        if not isinstance(embeddings, np.ndarray) or embeddings.ndim != 2 or embeddings.dtype != np.float32:
            raise InputError(f"embeddings: {shown(embeddings)}; expected a float32 array [n, d] of unit rows")
        neighbors: np.ndarray
        similarities: np.ndarray
        files = folder / "neighbors.npy", folder / "similarities.npy"
        if split_part(folder)[0].is_file():
            files, (neighbors, similarities) = (folder, folder), read_reference_lists(folder)
        else:
            neighbors = load_array(files[0], kind="iu", ndim=2)
            similarities = load_array(files[1], kind="f", ndim=2)
        if neighbors.shape != similarities.shape or len(neighbors) != len(embeddings):
            raise InputError(
                f"{folder}: neighbors {list(neighbors.shape)} and similarities {list(similarities.shape)} for "
                f"{len(embeddings)} embeddings; build the graph from these embeddings"
            )
        _check(files, neighbors, similarities)
        _check_some_rows(files, embeddings, neighbors, similarities)
        return cls(embeddings, neighbors, similarities)._in_types()

    def check(self) -> KnnGraph:
        """Checks the values of a graph that was not made by `build` or `load`.

        Cosines, their order, and neighbours that are there twice are checked in `CHECKED_ROWS` rows at most.

        Returns:
            The same graph in the types of `build`: other numbers, as uint32 or float128, are converted.

        Raises:
            InputError: There is no face or no neighbour; embeddings are not float32 rows of unit length or zero;
                neighbours are not integers, out of range, the row itself or there twice. Or similarities are not the
                cosines of these embeddings, or not in descending order.
        """
        if not self.similarities.size:
            raise InputError(f"neighbors: shape {list(self.neighbors.shape)}; expected a face and a neighbour at least")
        if self.embeddings.dtype != np.float32 or not is_unit(self.embeddings):
            raise InputError("embeddings of the graph: not float32 rows of unit length; KnnGraph.build normalises them")
        if self.neighbors.dtype.kind not in "iu" or self.similarities.dtype.kind != "f":
            raise InputError(
                f"neighbors are {self.neighbors.dtype}, similarities {self.similarities.dtype}; expected ints, floats"
            )
        names = "neighbors", "similarities"
        _check(names, self.neighbors, self.similarities)
        _check_some_rows(names, self.embeddings, self.neighbors, self.similarities)
        return self._in_types()

    def save(self, folder: str | Path) -> None:
        """Writes neighbours and similarities into an existing folder."""
        folder = as_path("folder", folder)
        np.save(folder / "neighbors.npy", self.neighbors, allow_pickle=False)
        np.save(folder / "similarities.npy", self.similarities, allow_pickle=False)

    def _in_types(self) -> KnnGraph:
        neighbors = self.neighbors.astype(np.int32, copy=False)
        return KnnGraph(self.embeddings, neighbors, self.similarities.astype(np.float32, copy=False))

    def narrowed(self, k: int) -> KnnGraph:
        """Returns the graph of the first `k` neighbours, or of all if there are fewer.

        Raises:
            InputError: `k` is not a whole number from 1 on.
        """
        if whole("k", k, 1) >= self.k:
            return self
        return KnnGraph(self.embeddings, self.neighbors[:, :k], self.similarities[:, :k])


def exact_graph(embeddings: np.ndarray, k: int) -> KnnGraph:
    """The exact graph with `k` neighbours per face, or with as many as there are other faces; see `KnnGraph.build`."""
    return KnnGraph.build(embeddings, neighbors_wanted(embeddings, k))


def neighbors_wanted(faces: Sized, k: int) -> int:
    """As many neighbours as a backend wants, or as there are other faces; at least 1."""
    return max(min(k, len(faces) - 1), 1)


def _check(names: tuple[object, object], neighbors: np.ndarray, similarities: np.ndarray) -> None:
    """Refuses values that are no neighbours or no cosines, block by block; the names are for messages."""
    rows = len(neighbors)
    for some in row_blocks(rows):
        ids, cosines, first = neighbors[some], similarities[some], some.start
        bad = (ids < -1) | (ids >= rows)
        if bad.any():
            raise InputError(f"{names[0]}: neighbour {ids[bad][0]} of {rows} rows; rebuild the graph")
        own = (ids == np.arange(first, first + len(ids))[:, None]).any(axis=1)
        if own.any():
            raise InputError(f"{names[0]}: row {first + own.argmax()} is its own neighbour; rebuild without self")
        if not np.all(np.abs(cosines) <= 1.001):
            raise InputError(f"{names[1]}: NaN or values beyond [-1, 1]; they must be cosines")


def _check_some_rows(
    names: tuple[object, object], embeddings: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray
) -> None:
    """Refuses neighbours that are there twice, and cosines of other faces or in another order, in evenly spaced rows.

    The cosines of at most `CHECKED_ROWS` rows are computed again. The names are for messages.
    """
    for row in range(0, len(neighbors), max(-(-len(neighbors) // CHECKED_ROWS), 1)):
        ids = np.asarray(neighbors[row])
        found = ids[ids >= 0]
        if len(np.unique(found)) < len(found):
            raise InputError(f"{names[0]}: row {row} has a neighbour twice; rebuild the graph")
        own = embeddings[row].astype(np.float64)
        length = float(np.linalg.norm(own))
        if length and abs(length - 1) > COSINE_TOLERANCE:
            raise InputError(f"embeddings: row {row} has length {length:.3f}; give rows of unit length")
        cosines = embeddings[np.maximum(ids, 0)].astype(np.float64) @ own
        wrong = np.abs(np.where(ids < 0, 0, cosines) - similarities[row]) > COSINE_TOLERANCE
        if wrong.any():
            at = int(wrong.argmax())
            raise InputError(
                f"{names[1]}: row {row}: {similarities[row, at]:.3f} with neighbour {ids[at]}, but "
                f"the cosine of these embeddings is {cosines[at]:.3f}; the graph is of other faces, or of another "
                "order or measure; build it from these embeddings"
            )
        if np.any(np.diff(similarities[row][ids >= 0]) > COSINE_TOLERANCE):
            raise InputError(
                f"{names[1]}: row {row} ascends; the nearest neighbour, of the highest cosine, comes first"
            )
