"""``python -m clustering``: embeddings in, pseudo-labels out."""

import sys

from facerec.stages import run

COMMANDS = {
    "knn": "clustering.knn:knn",
    "train": "clustering.train:train",
    "tune": "clustering.tune:tune",
    "cluster": "clustering.cluster:cluster",
    "pseudolabel": "clustering.pseudolabel:pseudolabel",
}

if __name__ == "__main__":
    sys.exit(run("python -m clustering", COMMANDS))
