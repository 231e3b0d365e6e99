"""``python -m clustering``: embeddings in, pseudo-labels out."""

from __future__ import annotations

import sys

from clustering.backends.describe import help_of_backend
from facerec.pipeline.command_line import run

COMMANDS = {
    "knn": "clustering.commands.knn:knn",
    "plan": "clustering.commands.plan:plan",
    "train": "clustering.commands.train:train",
    "pretrain": "clustering.commands.pretrain:pretrain",
    "tune": "clustering.commands.tune:tune",
    "cluster": "clustering.commands.cluster:cluster",
    "assign": "clustering.commands.assign:assign",
    "levels": "clustering.commands.levels:levels",
    "cut": "clustering.commands.cut:cut",
    "trace": "clustering.commands.trace:trace",
    "import": "clustering.commands.import_reference:import_reference",
    "review": "clustering.commands.review:review",
    "export": "clustering.commands.export:export",
    "pseudolabel": "clustering.commands.pseudolabel:pseudolabel",
}

if __name__ == "__main__":
    sys.exit(run("python -m clustering", COMMANDS, more_help=help_of_backend))
