"""``python -m facerec``: faces in, embeddings out."""

from __future__ import annotations

import sys

from facerec.pipeline.command_line import run

COMMANDS = {
    "synth": "facerec.commands.synth:synth",
    "align": "facerec.commands.align:align",
    "split": "facerec.commands.split:split",
    "store": "facerec.commands.store:store",
    "train": "facerec.commands.train:train",
    "backbones": "facerec.commands.backbones:backbones",
    "embed": "facerec.commands.embed:embed",
    "join": "facerec.commands.join:concatenate",
    "export": "facerec.commands.export:export",
    "sheet": "facerec.commands.sheet:sheet",
    "thumbnails": "facerec.commands.thumbnails:thumbnails",
    "pictures": "facerec.commands.pictures:pictures",
    "bin": "facerec.commands.bin:unpack",
}

if __name__ == "__main__":
    sys.exit(run("python -m facerec", COMMANDS))
