"""Whether whitening embeddings makes better clusters, and whether its own measurement knows.

    python benchmarks/whitening.py [RUN ...]

Runs are folders of ``recipes/run_pseudolabel.sh`` on the rendered corpus. Prints a row a set: FNMR of held-out people
as they are and whitened, and Fp / Fb of the packaged Hi-LANDER on the faces as they are and whitened, whether or not
``facerec whiten`` would take it. A minute on one core.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import CELEBA, CLINC, CLINC_TEST, DLIB, LFW

from clustering.backends.hilander.hilander import HiLander
from clustering.graph.knn_graph import KnnGraph
from eval.clusters import scores
from facerec.pipeline.embeddings import load_embeddings
from facerec.pipeline.label_files import load_labels
from facerec.recognisers.whitening import fit_whitening

Faces = tuple[np.ndarray, np.ndarray]


def faces(path: Path) -> Faces:
    """Embeddings and identities of a file with both."""
    found = load_embeddings(path)
    return found.embeddings, np.unique(found.labels, return_inverse=True)[1]


def halves(path: Path) -> tuple[Faces, Faces]:
    """Every second person, and the others."""
    embeddings, labels = faces(path)
    even = labels % 2 == 0
    return (embeddings[even], labels[even]), (embeddings[~even], labels[~even])


def sets(runs: list[Path]) -> Iterator[tuple[str, Faces, Faces]]:
    """Name, the people to measure on, and the faces to cluster."""
    for run in runs:
        unlabelled = load_embeddings(run / "embeddings" / "unlabelled").embeddings
        truth = load_labels(run / "corpus" / "unlabelled_truth.npy")
        yield str(run), faces(run / "embeddings" / "validation"), (unlabelled, truth)
    yield "CLINC test", faces(CLINC), faces(CLINC_TEST)
    yield "half of celeba299, MobileFaceNet", *halves(CELEBA)
    yield "LFW, MobileFaceNet", faces(CELEBA), faces(LFW)
    yield "half of celeba299, dlib", *halves(DLIB)


def clusters(embeddings: np.ndarray, labels: np.ndarray) -> str:
    """Fp / Fb."""
    model = HiLander.from_pretrained()
    found = scores(labels, model.cluster(KnnGraph.build(embeddings, model.k)).labels)
    return f"{found['pairwise_f']:.3f} / {found['bcubed_f']:.3f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    print("| faces | FNMR, % | whitened | taken | Fp / Fb | whitened |\n|---|---:|---:|---|---:|---:|")
    for name, people, (embeddings, labels) in sets(parser.parse_args().runs):
        found = fit_whitening(*people)
        errors = f"{100 * found.before:.1f} | {100 * found.after:.1f} | {'yes' if found.helps else 'no'}"
        print(
            f"| {name} | {errors} | {clusters(embeddings, labels)} | {clusters(found(embeddings), labels)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
