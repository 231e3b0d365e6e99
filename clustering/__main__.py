"""``python -m clustering``: embeddings in, pseudo-labels out."""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import sys

from facerec.pipeline.interruption import end_at_once

COMMANDS = {
    "knn": "clustering.commands.knn:knn",
    "plan": "clustering.commands.plan:plan",
    "train": "clustering.commands.train:train",
    "pretrain": "clustering.commands.pretrain:pretrain",
    "clean": "clustering.commands.clean:clean",
    "tune": "clustering.commands.tune:tune",
    "cluster": "clustering.commands.cluster:cluster",
    "ask": "clustering.commands.ask:ask",
    "compare": "clustering.commands.compare:compare",
    "estimate": "clustering.commands.estimate:estimate",
    "calibrate": "clustering.commands.calibrate:calibrate",
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
    end_at_once("python -m clustering")
    from facerec.pipeline.command_line import run  # it takes a while, in which signals may come

    about = "Embeddings in, clusters and pseudo-labels out."
    more = "clustering.backends.describe:help_of_backend"
    sys.exit(run("python -m clustering", COMMANDS, about=about, more_help=more))
