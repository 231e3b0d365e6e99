"""The command ``synth``: a corpus of rendered faces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse.typing import NonNegativeInt

from facerec.pipeline.counts import counted
from facerec.pipeline.options import flattened
from facerec.pipeline.stage import Results, stage
from facerec.rendering.composition import Composition
from facerec.rendering.corpus import render_corpus


def _found(results: Mapping[str, Any]) -> str:
    return ", ".join(counted(number, f"{part} face") for part, number in results["faces"].items())


@stage(
    "facerec synth",
    incidental=["workers"],
    found=_found,
    then="python -m facerec train --faces {out}/labelled --out MODEL",
)
@flattened
def synth(out: Path, composition: Composition, workers: NonNegativeInt = 2) -> Results:
    """Renders a corpus of faces: labelled, unlabelled and test identities, no identity in two of them.

    Writes ``labelled/IDENTITY/*.jpg``, ``validation/IDENTITY/*.jpg``, ``unlabelled/*.jpg`` with
    ``unlabelled_truth.npy`` (for scoring only), ``test/*.jpg`` with ``protocol/`` in the format of IJB-C, and
    ``contact_sheet.png``. The pictures depend on the seed alone, not on the number of workers.

    Args:
        out: Folder for the corpus.
        composition: What it is made of.
        workers: Processes; 0 and 1 render in this process.

    Raises:
        InputError: An option out of its range.
    """
    return render_corpus(out, composition, workers)
