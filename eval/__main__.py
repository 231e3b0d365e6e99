"""``python -m eval``: embeddings in, numbers out."""

from __future__ import annotations

import sys

from facerec.pipeline.command_line import run

COMMANDS = {
    "clusters": "eval.commands.clusters:clusters",
    "reliability": "eval.commands.reliability:reliability_report",
    "ijb": "eval.commands.ijb:ijb",
    "pairs": "eval.commands.pairs:pairs",
    "folder": "eval.commands.folder:folder",
    "compare": "eval.commands.compare:compare",
}

if __name__ == "__main__":
    sys.exit(run("python -m eval", COMMANDS))
