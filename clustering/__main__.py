"""``python -m clustering``: embeddings in, pseudo-labels out."""

from __future__ import annotations

import sys

from facerec.pipeline.command_line import run

COMMANDS = {
    "knn": "clustering.commands.knn:knn",
    "plan": "clustering.commands.plan:plan",
    "train": "clustering.commands.train:train",
    "pretrain": "clustering.commands.pretrain:pretrain",
    "clean": "clustering.commands.clean:clean",
    "tune": "clustering.commands.tune:tune",
    "cluster": "clustering.commands.cluster:cluster",
    "compare": "clustering.commands.compare:compare",
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
    sys.exit(run("python -m clustering", COMMANDS, more_help="clustering.backends.describe:help_of_backend"))
