"""Embeddings to pseudo-labels: kNN graphs, clustering backends, tuning.

    import clustering

    clusterer = clustering.HiLander.from_pretrained()        # the packaged model; or a folder
    labels = clusterer.fit_predict(X)                        # float [n, d] -> int64 [n], -1 for no cluster
    clusterer.confidence_, clusterer.hierarchy_.cut(2)
    clusterer.predict(X_new)                                 # assigns new faces to these clusters
    best = clustering.tune("dbscan", X_labelled, y)          # a clusterer; best.save_pretrained("tuned")

Every backend has the same methods, see `clustering.clusterer.Clusterer`: fit, fit_predict, predict, learn, get_params,
set_params, from_pretrained, save_pretrained, cluster.

- Backends without a network: Aro, Components, Dbscan, Finch, Graclus, HacAverage, HacSingle, Hdbscan and KMeans.
  Infomap and Leiden need optional libraries.
- Backends with a network: HiLander has a packaged model; GcnE, GcnV, L2c, Lander and Lgcn must `learn` first.
- `load` returns a backend by its name, and `tune` one whose settings are chosen on labelled faces.
- `KnnGraph` is what backends cluster, and `Hierarchy` has the levels of the result.
- `PseudoLabeller` turns clusters into labels and weights for training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facerec.pipeline.lazy import lazy_names

if TYPE_CHECKING:
    from clustering.backends.aro import Aro as Aro
    from clustering.backends.components import Components as Components
    from clustering.backends.dbscan import Dbscan as Dbscan
    from clustering.backends.finch import Finch as Finch
    from clustering.backends.graclus import Graclus as Graclus
    from clustering.backends.hac import HacAverage as HacAverage
    from clustering.backends.hac import HacSingle as HacSingle
    from clustering.backends.hdbscan import Hdbscan as Hdbscan
    from clustering.backends.hilander.hilander import HiLander as HiLander
    from clustering.backends.hilander.single_level import Lander as Lander
    from clustering.backends.infomap import Infomap as Infomap
    from clustering.backends.kmeans import KMeans as KMeans
    from clustering.backends.leiden import Leiden as Leiden
    from clustering.backends.networks.gcn_e import GcnE as GcnE
    from clustering.backends.networks.gcn_v import GcnV as GcnV
    from clustering.backends.networks.l2c import L2c as L2c
    from clustering.backends.networks.lgcn import Lgcn as Lgcn
    from clustering.backends.registry import load_clusterer as load  # noqa: F401
    from clustering.graph.knn_graph import KnnGraph as KnnGraph
    from clustering.hierarchy import Hierarchy as Hierarchy
    from clustering.learning.tuning import tune as tune
    from clustering.pseudolabels.pseudo_labeller import PseudoLabeller as PseudoLabeller

_HOMES = {
    "Aro": "backends.aro",
    "Components": "backends.components",
    "Dbscan": "backends.dbscan",
    "Finch": "backends.finch",
    "GcnE": "backends.networks.gcn_e",
    "GcnV": "backends.networks.gcn_v",
    "Graclus": "backends.graclus",
    "HacAverage": "backends.hac",
    "HacSingle": "backends.hac",
    "Hdbscan": "backends.hdbscan",
    "HiLander": "backends.hilander.hilander",
    "Hierarchy": "hierarchy",
    "Infomap": "backends.infomap",
    "KMeans": "backends.kmeans",
    "KnnGraph": "graph.knn_graph",
    "L2c": "backends.networks.l2c",
    "Lander": "backends.hilander.single_level",
    "Leiden": "backends.leiden",
    "Lgcn": "backends.networks.lgcn",
    "PseudoLabeller": "pseudolabels.pseudo_labeller",
    "load": "backends.registry:load_clusterer",
    "tune": "learning.tuning",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
