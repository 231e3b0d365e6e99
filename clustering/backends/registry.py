"""The list of clustering backends, and how one is loaded."""

from __future__ import annotations

import importlib
from pathlib import Path

from clustering.clusterer import Clusterer
from facerec.pipeline.files import InputError, read_yaml

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
    if name not in BACKENDS:
        raise InputError(f"backend {name!r} is unknown; there are {', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Clusterer] = getattr(importlib.import_module(module), attribute)
    return found


PRETRAINED = {"hilander": Path(__file__).parent / "hilander" / "pretrained"}
UNTUNED = ("components", "dbscan", "hac_single", "hdbscan")
"""Without a model they raise their thresholds themselves, where the largest clusters are mixtures of people."""


def load_clusterer(name: str, model: Path | None) -> Clusterer:
    """A backend with the settings and weights of a model folder, or with its defaults.

    Raises:
        InputError: Unknown backend; a model folder of another backend; no model for a backend that needs one.
    """
    found = backend(name)
    model = PRETRAINED.get(name) if model is None else model
    if model is None:
        if found.learns:
            raise InputError(
                f"{name} needs a model trained on labelled faces, as --model MODEL; make one with 'python -m "
                f"clustering train --backend {name} --embeddings EMB --labels LABELS --out MODEL', or with tune"
            )
        return found.load(Path(), {"adaptive": True} if name in UNTUNED else {})
    settings = read_yaml(model / "config.yaml")
    if settings.pop("backend", None) != name:
        raise InputError(f"{model / 'config.yaml'}: not a model of {name}; its first line must be 'backend: {name}'")
    return found.load(model, settings)
