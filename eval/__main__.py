"""``python -m eval``: embeddings in, numbers out."""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import sys

from facerec.pipeline.interruption import end_at_once

COMMANDS = {
    "clusters": "eval.commands.clusters:clusters",
    "reliability": "eval.commands.reliability:reliability_report",
    "ijb": "eval.commands.ijb:ijb",
    "pairs": "eval.commands.pairs:pairs",
    "folder": "eval.commands.folder:folder",
    "compare": "eval.commands.compare:compare",
    "plan": "eval.commands.plan:plan",
}

if __name__ == "__main__":
    end_at_once("python -m eval")
    from facerec.pipeline.command_line import run  # it takes a while, in which signals may come

    sys.exit(run("python -m eval", COMMANDS, about="Embeddings or clusters in, figures and reports out."))
