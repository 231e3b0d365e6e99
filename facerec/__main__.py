"""``python -m facerec``: faces in, embeddings out."""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import sys

from facerec.pipeline.interruption import end_at_once

COMMANDS = {
    "synth": "facerec.commands.synth:synth",
    "align": "facerec.commands.align:align",
    "split": "facerec.commands.split:split",
    "store": "facerec.commands.store:store",
    "train": "facerec.commands.train:train",
    "backbones": "facerec.commands.backbones:backbones",
    "embed": "facerec.commands.embed:embed",
    "join": "facerec.commands.join:concatenate",
    "whiten": "facerec.commands.whiten:whiten",
    "export": "facerec.commands.export:export",
    "sheet": "facerec.commands.sheet:sheet",
    "thumbnails": "facerec.commands.thumbnails:thumbnails",
    "pictures": "facerec.commands.pictures:pictures",
    "bin": "facerec.commands.bin:unpack",
}

if __name__ == "__main__":
    end_at_once("python -m facerec")
    from facerec.pipeline.command_line import run  # it takes a while, in which signals may come

    sys.exit(run("python -m facerec", COMMANDS, about="Faces in, embeddings out: alignment, training, extraction."))
