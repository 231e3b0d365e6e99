"""The command ``assign``: what it writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.commands.assign import assign
from clustering.commands.export import export
from clustering.pseudolabels.new_faces import assign_new_faces
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import read_table, write_lines


@pytest.fixture
def corpus(tmp_path, blobs) -> tuple[Path, np.ndarray, np.ndarray]:
    """Twenty people clustered rightly, 14 old ones; of these the last two faces are new, and so are the other six."""
    embeddings, person = blobs(identities=20, faces=10, dimension=32, spread=0.5)
    new = (person >= 14) | (np.arange(200) % 10 >= 8)
    for name, rows in [("old", ~new), ("new", new)]:
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, embeddings[rows], [f"{row}.jpg" for row in np.flatnonzero(rows)])
    np.save(tmp_path / "clusters.npy", person[~new] * 3 + 7)
    return tmp_path, person[~new], person[new]


@pytest.mark.parametrize("similarity", [None, 0.5])
def test_it_writes_what_the_function_finds(corpus, similarity):
    folder, _, _ = corpus
    out = assign(folder / "clusters.npy", folder / "old", folder / "new", folder / "out", similarity=similarity)
    old, new = (np.load(folder / name / "embeddings.npy") for name in ("old", "new"))
    labels, confidence, summary = assign_new_faces(old, np.load(folder / "clusters.npy"), new, similarity)
    np.testing.assert_array_equal(np.load(out / "labels.npy"), labels)
    np.testing.assert_array_equal(np.load(out / "confidence.npy"), confidence)
    assert json.loads((out / "summary.json").read_text()) == summary
    assert (out / "keys.txt").read_text() == (folder / "new" / "keys.txt").read_text()


def test_the_new_faces_keep_their_names(corpus):
    folder, _, _ = corpus
    count = len(np.load(folder / "new" / "embeddings.npy"))
    write_lines(folder / "new" / "keys.txt", [f"{row}.jpg" for row in range(count)])
    out = assign(folder / "clusters.npy", folder / "old", folder / "new", folder / "out")
    found = read_table(export(clusters=out, as_="csv", out=folder / "people") / "faces.csv", ("key", "cluster"))
    assert [row["key"] for row in found] == [f"{row}.jpg" for row in range(count)]
    assert [int(row["cluster"]) for row in found] == np.load(out / "labels.npy").tolist()


BAD = [
    ("--clusters {t}/short.npy --embeddings {t}/old --new {t}/new", "3 labels for 112 rows"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/none", "none: no such file"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/narrow.npy", "length 4, those of"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/new --similarity 2", "similarity is 2.0"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/new --min-size 0", "min_size is 0"),
    ("--clusters {t}/clusters.npy --embeddings {t}/old --new {t}/cut.npy", "not a readable .npy array"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(line, message, corpus, capsys):
    folder, _, _ = corpus
    np.save(folder / "short.npy", np.arange(3))
    np.save(folder / "narrow.npy", np.eye(4, dtype=np.float32))
    np.save(folder / "cut.npy", np.ones((50, 8), np.float32))
    (folder / "cut.npy").write_bytes((folder / "cut.npy").read_bytes()[:-100])
    words = ["assign", *line.format(t=folder).split(), "--out", str(folder / "bad")]
    assert run("clustering", COMMANDS, words) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (folder / "bad").exists()
    assert not (folder / "bad.partial").exists()
