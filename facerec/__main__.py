"""``python -m facerec``: faces in, embeddings out."""

import sys

from facerec.stages import run

COMMANDS = {
    "synth": "facerec.synthetic:synth",
    "align": "facerec.align:align",
    "split": "facerec.store:split",
    "store": "facerec.store:store",
    "train": "facerec.train:train",
    "backbones": "facerec.backbones.costs:backbones",
    "embed": "facerec.embed:embed",
    "join": "facerec.join:join",
    "export": "facerec.export:export",
    "sheet": "facerec.sheet:sheet",
    "thumbnails": "facerec.thumbnails:thumbnails",
    "bin": "facerec.pairs_bin:unpack",
}

if __name__ == "__main__":
    sys.exit(run("python -m facerec", COMMANDS))
