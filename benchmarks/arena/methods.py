"""The methods of the arena: all backends of the package, and rivals."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import clustering
from arena.rivals.ada_nets import StructureSpace
from arena.rivals.album import Album
from arena.rivals.chinese_whispers import DLIB_DISTANCE, ChineseWhispers, cosine_of_distance
from arena.rivals.facemap import FaceMap
from arena.rivals.fc_es import FcEs
from arena.rivals.libraries import Evoc, FastHdbscan
from arena.rivals.star_fc import StarFc
from arena.sets import TestSet
from clustering.backends.registry import BACKENDS, backend, load_clusterer
from clustering.clusterer import Clusterer

PACKAGE = Path(clustering.__file__).parent
SHARED = tuple(PACKAGE / name for name in ("partition.py", "result.py", "graph", "similarity"))
RIVALS_SHARE = (Path(__file__).parent / "rivals" / "neighborhoods.py", PACKAGE / "backends" / "infomap.py")
LIBRARIES = {"evoc": "evoc", "fast_hdbscan": "fast_hdbscan", "chinese_whispers": "numba", "fc_es": "infomap",
             "facemap": "infomap", "infomap": "infomap", "leiden": "igraph", "kmeans": "faiss", "album": "scikit-learn",
             "photo_manager": "scikit-learn"}  # fmt: skip
COMPILED = ("chinese_whispers", "evoc", "fast_hdbscan")
"""Methods whose first clustering of a process compiles them, for a minute or more."""
TITLES = {
    "aro": "ARO", "components": "components", "dbscan": "DBSCAN", "finch": "FINCH", "gcn_e": "GCN-V+E",
    "gcn_v": "GCN-V", "graclus": "Graclus", "hac_average": "HAC, average linkage", "hac_single": "HAC, single linkage",
    "hdbscan": "H-DBSCAN", "hilander": "Hi-LANDER", "infomap": "Infomap", "kmeans": "K-means", "l2c": "L2C",
    "lander": "LANDER", "leiden": "Leiden", "lgcn": "L-GCN",
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A clustering method.

    Attributes:
        name: Short name, used in file names.
        title: Name in tables.
        kind: The class. Tuning and the oracle search its ``search_space``.
        published: Makes a clusterer with the published settings, or with the package's defaults. It may look at the
            embeddings of a set, but not at the identities. None for methods that need labels.
        ours: Whether it is a backend of the package.
    """

    name: str
    title: str
    kind: type[Clusterer]
    published: Callable[[TestSet], Clusterer] | None
    ours: bool = False

    @property
    def version(self) -> str:
        """A text that changes with the method's sources, the sources it shares with others, and its library."""
        shared = SHARED if self.ours else (*SHARED, *RIVALS_SHARE)
        return f"{digest([*self._own_sources(), *shared])} {self.library}".strip()

    def _own_sources(self) -> Iterator[Path]:
        """The files of the class and of its bases, or their folder if it has one."""
        for base in self.kind.__mro__:
            if issubclass(base, Clusterer):
                home = Path(inspect.getfile(base))
                yield home.parent if home.parent.name in ("hilander", "networks") else home

    @property
    def library(self) -> str:
        """Name and version of the library that does the work; empty if this package does it."""
        name = LIBRARIES.get(self.name)
        try:
            return f"{name} {importlib.metadata.version(name)}" if name else ""
        except importlib.metadata.PackageNotFoundError:
            return f"{name} missing"


def digest(places: Iterable[Path]) -> str:
    """A short hash of the sources and weights in files and folders."""
    found = hashlib.sha256()
    for place in places:
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.suffix in (".py", ".yaml", ".safetensors"):
                found.update(file.read_bytes())
    return found.hexdigest()[:12]


def _backend(name: str) -> Method:
    kind = backend(name)
    needs_labels = kind.learns and name != "hilander"
    return Method(name, TITLES[name], kind, None if needs_labels else lambda _: load_clusterer(name), ours=True)


RIVALS = (
    Method(
        "chinese_whispers", "Chinese Whispers (dlib)", ChineseWhispers,
        lambda faces: ChineseWhispers(cosine_of_distance(DLIB_DISTANCE, faces.length)),
    ),
    Method("facemap", "FaceMap (Adapt-InfoMap)", FaceMap, lambda _: FaceMap()),
    Method("fc_es", "FC-ES", FcEs, lambda _: FcEs()),
    Method("structure_space", "Ada-NETS, structure space alone", StructureSpace, lambda _: StructureSpace()),
    Method("star_fc", "STAR-FC, parsing alone", StarFc, lambda _: StarFc()),
    Method("evoc", "EVoC", Evoc, lambda _: Evoc()),
    Method("fast_hdbscan", "fast_hdbscan", FastHdbscan, lambda _: FastHdbscan()),
    Method("album", "insightface album (DBSCAN .28, 2)", Album, lambda _: Album()),
    Method("photo_manager", "photo manager (DBSCAN .5, 3)", Album, lambda _: Album(0.5, 3)),
)  # fmt: skip
METHODS = {method.name: method for method in (*map(_backend, BACKENDS), *RIVALS)}
TWINS = {"photo_manager": "album"}
"""Methods that differ from another one only in their published settings. The other one alone is tuned."""
