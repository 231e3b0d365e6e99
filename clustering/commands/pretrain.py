"""The command ``pretrain``: a Hi-LANDER that needs no labelled face, the one that comes with the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clustering.backends.hilander.hilander import HiLander
from clustering.backends.hilander.lander import LinkageModel
from clustering.backends.hilander.meta_training import FROM_NOTHING, graphs_of
from clustering.backends.hilander.pair_training import learn_to_join
from clustering.backends.weights import default_device
from clustering.graph.knn_graph import DEFAULT_K, KnnGraph
from clustering.learning.calibration import clustered_sample, fit_confidence
from clustering.learning.simulated import recognisers
from clustering.similarity.confidence import Confidence
from eval.clusters import scores
from facerec.pipeline.arguments import Seed
from facerec.pipeline.files import InputError
from facerec.pipeline.stage import stage

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98)
VALIDATION_CORPORA = 9
CONCESSION = 0.002
"""Loss of score for which the strictest threshold is taken instead of the best one."""


@stage(
    "clustering pretrain",
    found="p_tau {p_tau}".format_map,
    then="python -m clustering cluster --backend hilander --model {out} --embeddings EMBEDDINGS --out CLUSTERS",
)
def pretrain(out: Path, corpora: int = 24, epochs: int = 14, seed: Seed = 0) -> dict[str, Any]:
    """Trains Hi-LANDER on simulated embeddings alone.

    The model sees no embedding. It sees how similar two nodes are, compared with what chance gives in that corpus, and
    how many faces they stand for. So it can learn from simulated recognisers. The threshold p_tau and the confidence
    are measured on others of them. The packaged model was made in this way, with the defaults.

    Args:
        out: Folder to make: config.yaml and model.safetensors, for cluster's --model.
        corpora: Simulated corpora to learn from, each of another recogniser.
        epochs: Passes over the graphs of all corpora.
        seed: Seed of the simulation, the weights and the order.
    """
    if corpora < 1 or epochs < 1:
        raise InputError(f"corpora is {corpora} and epochs is {epochs}; both must be at least 1")
    torch.manual_seed(seed)
    model = LinkageModel().to(default_device())
    learn_to_join(model, graphs_of(recognisers(corpora, seed), DEFAULT_K), epochs, FROM_NOTHING.learning_rate, seed)
    hilander = HiLander(model, adaptive=False, confidence=Confidence())
    held = graphs_of(recognisers(VALIDATION_CORPORA, seed + 1), DEFAULT_K)
    curve = {p_tau: _score(replace(hilander, p_tau=p_tau), held) for p_tau in THRESHOLDS}
    strictest = max(p_tau for p_tau, score in curve.items() if score >= max(curve.values()) - CONCESSION)
    hilander = replace(hilander, p_tau=strictest)
    samples = [clustered_sample(hilander, *part) for part in held]
    replace(hilander, adaptive=True, confidence=fit_confidence(samples)).save_pretrained(out)
    return {"p_tau": hilander.p_tau, "scores": {str(p_tau): score for p_tau, score in curve.items()}}


def _score(hilander: HiLander, corpora: list[tuple[KnnGraph, np.ndarray]]) -> float:
    """The mean of Fp and Fb over corpora."""
    found = [scores(labels, hilander.cluster(graph).labels) for graph, labels in corpora]
    return float(np.mean([(figures["pairwise_f"], figures["bcubed_f"]) for figures in found]))
