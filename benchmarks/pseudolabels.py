"""What the rules on pseudo-labels, the search for labelled people and ``assign`` are worth, where the truth is known.

    python benchmarks/pseudolabels.py [--runs DEMO_RUN ...] [--data FOLDER] [--parts rules,overlap,assign]

Runs are folders of ``recipes/run_pseudolabel.sh`` on the rendered corpus; the data folder has the embeddings of LFW and
celeba299. Prints tables in Markdown. A minute on one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
from common import DATA

from clustering.backends.dbscan import Dbscan
from clustering.backends.finch import Finch
from clustering.backends.kmeans import KMeans
from clustering.backends.registry import load_clusterer
from clustering.clusterer import Clusterer
from clustering.graph.knn_graph import KnnGraph
from clustering.learning.labelled_faces import LabelledFaces
from clustering.partition import consecutive
from clustering.pseudolabels.evidence import Evidence
from clustering.pseudolabels.labelled_people import find_labelled_people
from clustering.pseudolabels.new_faces import JoiningThreshold, assign_to_clusters, found_clusters
from clustering.pseudolabels.rules import PseudoLabelRule, apply
from clustering.pseudolabels.thresholds import MERGE_RATE
from clustering.similarity.centres import centres, nearest
from clustering.similarity.likeness import Likeness
from eval.clusters import scores
from eval.clusters.calibration import in_majority
from facerec.pipeline.embeddings import EmbeddingSet, load_embeddings
from facerec.pipeline.label_files import load_labels

K = 20
FALSE_MATCH = 0.05


def main() -> None:
    """Prints the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--parts", default="rules,overlap,assign")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    for part in options.parts.split(","):
        {"rules": rules, "overlap": overlap, "assign": assign}[part](options.runs, options.data)


def rules(runs: list[Path], data: Path) -> None:
    """Purity, faces, identities, Fp and Fb of the used faces without rules and with the default ones."""
    print("\n| faces | backend | rules | threshold | purity | faces | identities | clusters | Fp | Fb |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for run in runs:
        seen = run / ("whitened" if (run / "whitened").is_dir() else "embeddings")
        graph = KnnGraph.load(run / "knn", load_embeddings(seen / "unlabelled").embeddings)
        truth = load_labels(run / "corpus" / "unlabelled_truth.npy")
        people = load_embeddings(seen / "validation")
        for name in ("hilander", "dbscan", "kmeans"):
            rows(f"{run.name} | {name}", graph, truth, load_labels(run / "rows" / name / "clusters"), people, 4)
    embeddings, truth = real(data, "lfw112")
    graph = KnnGraph.build(embeddings, K)
    others, names = real(data, "celeba299")
    people = EmbeddingSet(others, None, names, data)
    for name, clusterer in backends().items():
        rows(f"LFW | {name}", graph, truth, cluster(clusterer, graph), people, 2)


def rows(name: str, graph: KnnGraph, truth: np.ndarray, found: np.ndarray, people: EmbeddingSet, least: int) -> None:
    """Prints a clustering's rows."""
    evidence = Evidence(np.ones(len(found), np.float32), graph)
    assert people.labels is not None
    several = int(np.count_nonzero(np.bincount(found[found >= 0]) > 1))
    measured = {
        "none": None,
        "estimated": Likeness.of_clusters(graph.embeddings, consecutive(found)),
        "calibrated": Likeness.of_people(people.embeddings, people.labels).symmetrised(),
    }
    for kind, likeness in measured.items():
        chosen, threshold = [PseudoLabelRule("min_size", least)], 0.0
        if likeness is not None:
            threshold, strict = (likeness.threshold(share * FALSE_MATCH, several) for share in (1, MERGE_RATE))
            mending = zip(("split", "merge", "outliers"), (threshold, strict, threshold), strict=True)
            chosen = [*(PseudoLabelRule(rule, value) for rule, value in mending), *chosen]
        labels, _ = apply(chosen, found, evidence)
        used = labels >= 0
        right = in_majority(truth, labels) & used
        figures = scores(truth[used], labels[used])
        print(
            f"| {name} | {kind} | {threshold:.3f} | {100 * figures['purity']:.1f} | {used.sum():,} | "
            f"{len(np.unique(truth[right])):,} | {figures['clusters']:,} | {figures['pairwise_f']:.3f} | "
            f"{figures['bcubed_f']:.3f} |",
            flush=True,
        )


def overlap(runs: list[Path], data: Path) -> None:
    """Planted overlap: half of the faces of 30 % of LFW's people with several photographs are labelled."""
    print(
        "\n| photos | seed | people | found, % | their faces, % | precision | others' wrong, % | at 1 % | by cosine |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    embeddings, truth = real(data, "lfw112")
    clusterer = load_clusterer("hilander", None)
    for least in (2, 4):
        for seed in range(10, 15):
            known, both = plant(truth, least, 0.3, seed)
            faces, names, planted = np.ascontiguousarray(embeddings[~known]), truth[~known], both[~known]
            found = cluster(clusterer, KnnGraph.build(faces, K))
            labelled = LabelledFaces(embeddings[known], truth[known])
            person = find_labelled_people(faces, found, labelled, 0.01).person
            right, flagged = (person == names) & planted, person >= 0
            people = np.unique(names[planted])
            every = find_labelled_people(faces, found, labelled, 1.0)
            numbers, number = np.unique(truth[known], return_inverse=True)
            ids, cosines = nearest(faces, centres(embeddings[known], number)[0], 1)
            plain = numbers[ids[:, 0]], cosines[:, 0]
            at_one = [
                100 * np.isin(people, names[(who == names) & planted & (score >= np.quantile(score[~planted], 0.99))])
                for who, score in ((every.person, every.score), plain)
            ]
            print(
                f"| {least} or more | {seed} | {len(people)} | {100 * np.isin(people, names[right]).mean():.1f} | "
                f"{100 * right.sum() / planted.sum():.1f} | {100 * right.sum() / flagged.sum():.1f} | "
                f"{100 * flagged[~planted].mean():.2f} | {at_one[0].mean():.1f} | "
                f"{at_one[1].mean():.1f} |",
                flush=True,
            )


def plant(truth: np.ndarray, least: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bool [n] each: the labelled faces, and all faces of the people who are labelled in part."""
    random = np.random.default_rng(seed)
    people, sizes = np.unique(truth, return_counts=True)
    several = people[sizes >= least]
    chosen = random.permutation(several)[: round(share * len(several))]
    known = np.zeros(len(truth), dtype=bool)
    for person in chosen:
        faces = random.permutation(np.flatnonzero(truth == person))
        known[faces[: (len(faces) + 1) // 2]] = True
    return known, np.isin(truth, chosen)


def assign(runs: list[Path], data: Path) -> None:
    """A tenth of LFW as new faces, against clustering all of it anew."""
    print("\n| backend | agree, % | Fp, Fb with the full run | old faces alone | Fb true: assigned, full | s: both |")
    print("|---|---:|---:|---:|---:|---:|")
    embeddings, truth = real(data, "lfw112")
    new = np.zeros(len(truth), dtype=bool)
    new[np.random.default_rng(0).permutation(len(truth))[: len(truth) // 10]] = True
    old, fresh = np.ascontiguousarray(embeddings[~new]), np.ascontiguousarray(embeddings[new])
    for name, clusterer in backends().items():
        before = cluster(clusterer, KnnGraph.build(old, K))
        started = time.process_time()
        whole = cluster(clusterer, KnnGraph.build(embeddings, K))
        middle = time.process_time()
        similarity = JoiningThreshold.measured(old, before).similarity
        joined, _ = assign_to_clusters(old, before, fresh, similarity)
        founded = found_clusters(fresh, joined < 0, similarity, 2)
        seconds = time.process_time() - middle, middle - started
        both = np.empty(len(truth), dtype=np.int64)
        both[~new], both[new] = before, np.where(founded >= 0, founded + before.max() + 1, joined)
        alone = whole.max() + 1 + np.arange(len(whole))
        against = scores(np.where(whole < 0, alone, whole), both)
        steady = scores(np.where(whole < 0, alone, whole)[~new], before)
        true = [scores(truth, labels)["bcubed_f"] for labels in (both, whole)]
        print(
            f"| {name} | {100 * agreement(before, joined, whole, new):.1f} | "
            f"{against['pairwise_f']:.3f}, {against['bcubed_f']:.3f} | "
            f"{steady['pairwise_f']:.3f}, {steady['bcubed_f']:.3f} | {true[0]:.3f}, {true[1]:.3f} | "
            f"{seconds[0]:.2f}, {seconds[1]:.2f} |",
            flush=True,
        )


def agreement(before: np.ndarray, joined: np.ndarray, whole: np.ndarray, new: np.ndarray) -> float:
    """Share of the new faces that joined what the full run's cluster of theirs mostly consists of, of old clusters.

    A face that joined nothing agrees if the full run has it with no old face that had a cluster.
    """
    rows = (before >= 0) & (whole[~new] >= 0)
    cells, faces = np.unique(np.stack([whole[~new][rows], before[rows]]), axis=1, return_counts=True)
    order = np.argsort(faces, kind="stable")
    main = np.full(whole.max() + 2, -1)
    main[cells[0, order]] = cells[1, order]  # the last one written stays: the most faces
    return float(np.mean(main[whole[new]] == joined))


def backends() -> dict[str, Clusterer]:
    """For LFW: DBSCAN's threshold is that of celeba299; K-means is told the true mean of faces a person."""
    return {
        "hilander": load_clusterer("hilander", None),
        "dbscan": Dbscan(min_similarity=0.55),
        "kmeans": KMeans(faces_per_cluster=2.3, iterations=10),
        "finch": Finch(),
    }


def cluster(clusterer: Clusterer, graph: KnnGraph) -> np.ndarray:
    """Labels."""
    return clusterer.cluster(graph.narrowed(clusterer.k)).labels


def real(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and identities."""
    with np.load(data / f"embeddings_{name}_mobilefacenet128.npz", allow_pickle=False) as arrays:
        return arrays["embeddings"], arrays["labels"]


if __name__ == "__main__":
    main()
