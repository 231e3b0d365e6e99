"""``python -m clustering``: embeddings in, pseudo-labels out."""

import sys

from facerec.stages import run

COMMANDS = {
    "knn": "clustering.knn:knn",
    "plan": "clustering.plan:plan",
    "train": "clustering.train:train",
    "pretrain": "clustering.hilander.pretrain:pretrain",
    "tune": "clustering.tune:tune",
    "cluster": "clustering.cluster:cluster",
    "assign": "clustering.assign:assign",
    "levels": "clustering.levels:levels",
    "cut": "clustering.levels:cut",
    "trace": "clustering.levels:trace",
    "import": "clustering.hilander.reference:import_reference",
    "review": "clustering.review:review",
    "pseudolabel": "clustering.pseudolabel:pseudolabel",
}

if __name__ == "__main__":
    sys.exit(run("python -m clustering", COMMANDS))
