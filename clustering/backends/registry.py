"""The list of clustering backends, and how one is loaded."""

from __future__ import annotations

import importlib
from pathlib import Path

from clustering.clusterer import Clusterer
from facerec.pipeline.files import InputError
from facerec.pipeline.overview import perhaps
from facerec.pipeline.values import shown

BACKENDS = {
    "aro": "clustering.backends.aro:Aro",
    "components": "clustering.backends.components:Components",
    "dbscan": "clustering.backends.dbscan:Dbscan",
    "finch": "clustering.backends.finch:Finch",
    "gcn_e": "clustering.backends.networks.gcn_e:GcnE",
    "gcn_v": "clustering.backends.networks.gcn_v:GcnV",
    "graclus": "clustering.backends.graclus:Graclus",
    "hac_average": "clustering.backends.hac:HacAverage",
    "hac_single": "clustering.backends.hac:HacSingle",
    "hdbscan": "clustering.backends.hdbscan:Hdbscan",
    "hilander": "clustering.backends.hilander.hilander:HiLander",
    "infomap": "clustering.backends.infomap:Infomap",
    "kmeans": "clustering.backends.kmeans:KMeans",
    "l2c": "clustering.backends.networks.l2c:L2c",
    "lander": "clustering.backends.hilander.single_level:Lander",
    "leiden": "clustering.backends.leiden:Leiden",
    "lgcn": "clustering.backends.networks.lgcn:Lgcn",
}


def backend(name: str) -> type[Clusterer]:
    """The class of a registered backend.

    Raises:
        InputError: No such backend.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        near = perhaps(name, BACKENDS) if isinstance(name, str) else ""
        raise InputError(f"backend {shown(name)} is unknown{near or '; there are ' + ', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Clusterer] = getattr(importlib.import_module(module), attribute)
    return found


def load_clusterer(name: str, model: str | Path | None = None) -> Clusterer:
    """Returns a backend by its name, with the settings and weights of a model folder.

    Args:
        name: One of `BACKENDS`.
        model: A model folder; by default see `Clusterer.from_pretrained`.

    Raises:
        InputError: The backend is unknown, or as for `Clusterer.from_pretrained`.
    """
    return backend(name).from_pretrained(model)
