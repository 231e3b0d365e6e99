"""``python -m eval``: embeddings in, numbers out."""

import sys

from facerec.stages import run

COMMANDS = {
    "clusters": "eval.clusters:clusters",
    "reliability": "eval.reliability:reliability_report",
    "ijb": "eval.ijb:ijb",
    "pairs": "eval.pairs:pairs",
    "compare": "eval.report:compare",
}

if __name__ == "__main__":
    sys.exit(run("python -m eval", COMMANDS))
