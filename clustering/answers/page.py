"""The page on which a person answers questions: one file, with its pictures inside."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from clustering.answers.file import Answers, as_items
from facerec.pipeline.render import render
from facerec.pipeline.thumbnails import Thumbnails

DOWNLOAD = Path(__file__).parent / "download.js"
"""The script by which a page saves a file."""


def write_questions(
    path: Path, questions: Answers, before: Answers, pictures: Thumbnails, by_key: bool, command: str
) -> None:
    """Writes the page; what it saves is the answers before and these, as `load_answers` reads them.

    Args:
        path: The file.
        questions: What is asked.
        before: What has been asked already.
        pictures: Pictures of all faces.
        by_key: Whether faces go by their keys, else by rows.
        command: What clusters with the answers, for a shell.
    """
    from markupsafe import Markup

    keys = pictures.keys if by_key else None
    shown = [[pictures.as_url(row) for row in pair] for pair in questions.pairs.tolist()]
    content: dict[str, object] = {
        "before": as_items(before, keys), "questions": as_items(questions, keys), "pictures": shown,
        "names": [[pictures.keys[row] for row in pair] for pair in questions.pairs.tolist()],
    }  # fmt: skip
    content["stored"] = f"answers:{hashlib.sha256(json.dumps(content).encode()).hexdigest()}"
    script = json.dumps(content).replace("<", "\\u003c")  # no key ends the script
    page = render(
        Path(__file__).with_name("questions.html"),
        content=Markup(script), command=command, download=Markup(DOWNLOAD.read_text(encoding="utf-8")),
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")
