"""The command ``ask``: questions, the page on which they are answered, and rounds answered by true identities."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.answers.file import DIFFERENT, SAME, UNSURE, load_answers
from clustering.commands.ask import ask
from clustering.commands.cluster import cluster
from eval.clusters import scores
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError


@pytest.fixture
def corpus(tmp_path, blobs):
    """Embeddings with keys, their clusters by DBSCAN with too low a threshold, and the truth."""
    faces, truth = blobs(identities=12, faces=6, dimension=32, spread=0.6)
    keys = [f"</script>{row}" for row in range(len(truth))]
    (tmp_path / "emb").mkdir()
    save_embeddings(tmp_path / "emb", faces, keys)
    np.save(tmp_path / "truth.npy", truth)
    cluster("dbscan", tmp_path / "emb", tmp_path / "clusters", set=["min_similarity=0.4"])
    return tmp_path


def thumbnails(folder, keys):
    folder.mkdir()
    picture = cv2.imencode(".jpg", np.full((8, 8, 3), 99, np.uint8))[1].tobytes()
    (folder / "images.bin").write_bytes(picture * len(keys))
    np.save(folder / "offsets.npy", len(picture) * np.arange(len(keys) + 1))
    (folder / "keys.txt").write_text("".join(f"{key}\n" for key in keys))
    return folder


def test_questions_are_answered_and_clusters_keep_the_answers(corpus):
    emb, clusters, keys = corpus / "emb", corpus / "clusters", (corpus / "emb" / "keys.txt").read_text().splitlines()
    out = ask(clusters, emb, corpus / "ask", count=5)
    content = json.loads((out / "answers.json").read_text())
    assert {item["answer"] for item in content["answers"]} == {"unsure"}
    assert len(content["answers"]) == 5
    for item in content["answers"]:
        item["answer"] = "different"
    (corpus / "mine.json").write_text(json.dumps(content))
    again = cluster("dbscan", emb, corpus / "again", answers=corpus / "mine.json", set=["min_similarity=0.4"])
    labels = np.load(again / "labels.npy")
    pairs = load_answers(corpus / "mine.json", len(labels), keys).pairs
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()
    more = ask(clusters, emb, corpus / "more", count=5, answers=corpus / "mine.json")
    both = load_answers(more / "answers.json", len(labels), keys)
    assert both.pairs[:5].tolist() == pairs.tolist()
    assert both.answer.tolist() == [DIFFERENT] * 5 + [UNSURE] * (len(both) - 5)
    assert len(both) > 5
    assert len(np.unique(np.sort(both.pairs, axis=1), axis=0)) == len(both.pairs)
    known = load_answers(ask(again, emb, corpus / "known", count=5) / "answers.json", len(labels), keys)
    assert known.pairs[:5].tolist() == pairs.tolist()  # those that the clusters were made with
    assert len(np.unique(np.sort(known.pairs, axis=1), axis=0)) == len(known.pairs) > 5


def test_questions_that_nobody_has_answered_yet_are_told(corpus, caplog):
    caplog.set_level("INFO")
    keys = (corpus / "emb" / "keys.txt").read_text().splitlines()
    out = ask(
        corpus / "clusters", corpus / "emb", corpus / "ask", count=2, thumbnails=thumbnails(corpus / "thumbnails", keys)
    )
    assert "answer them in questions.html, and move the answers.json that it saves into ask; done" in caplog.text
    cluster("dbscan", corpus / "emb", corpus / "again", answers=out / "answers.json")
    assert f"{out}/answers.json: no answer in it is yes or no, so it changes nothing" in caplog.text


@pytest.mark.parametrize("backend", ["hilander", "dbscan"])
def test_rounds_cluster_copies_as_the_command_does(backend, corpus):
    np.save(corpus / "copied.npy", np.load(corpus / "emb" / "embeddings.npy").repeat(15, axis=0))
    np.save(corpus / "people.npy", np.load(corpus / "truth.npy").repeat(15))
    first = cluster(backend, corpus / "copied.npy", corpus / "first")
    out = ask(first, corpus / "copied.npy", corpus / "ask", count=8, truth=corpus / "people.npy", rounds=2)
    again = cluster(backend, corpus / "copied.npy", corpus / "again", answers=out / "answers.json")
    np.testing.assert_array_equal(np.load(out / "labels.npy"), np.load(again / "labels.npy"))


def test_the_next_command_clusters_as_these_clusters_were_made(corpus, caplog):
    caplog.set_level("INFO")
    for clusters, options in (
        ("clusters", f"--backend dbscan --model {corpus}/clusters"),
        ("truth.npy", "--backend BACKEND"),
    ):
        out = corpus / f"asked about {clusters}"
        given = {"clusters": corpus / clusters, "embeddings": corpus / "emb", "count": 2, "out": out}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        assert run("python -m clustering", COMMANDS, ["ask", *words]) == 0
        assert f"cluster {options} --embeddings {corpus}/emb --answers '{out}'/answers.json --out AGAIN" in caplog.text


def test_true_identities_answer_in_rounds(corpus, caplog):
    caplog.set_level("INFO")
    out = ask(corpus / "clusters", corpus / "emb", corpus / "ask", count=10, truth=corpus / "truth.npy", rounds=3)
    rows = list(csv.DictReader((out / "rounds.csv").read_text().splitlines()))
    assert [row["answers"] for row in rows][:2] == ["0", "10"]
    assert float(rows[-1]["Fb"]) > float(rows[0]["Fb"]) + 0.02
    labels, truth = np.load(out / "labels.npy"), np.load(corpus / "truth.npy")
    answers = load_answers(out / "answers.json", len(truth), (corpus / "emb" / "keys.txt").read_text().splitlines())
    a, b = answers.pairs.T
    assert ((labels[a] == labels[b]) == (truth[a] == truth[b])).all()
    assert int(rows[-1]["clusters"]) == labels.max() + 1
    assert float(rows[1]["yes_in_round"]) == np.mean(answers.answer[:10] == SAME)
    first, last = ({name: float(row[name]) for name in ("Fp", "Fb")} for row in (rows[0], rows[-1]))
    figures = ", ".join(f"{name} {first[name]:.4f} to {last[name]:.4f}" for name in first)
    assert f"{len(answers)} answers, {np.sum(answers.answer == SAME)} of them yes: {figures}" in caplog.text


def test_about_unknown_identities_answers_are_unsure_and_scores_leave_them_out(corpus):
    truth = np.load(corpus / "truth.npy")
    known = np.flatnonzero(truth < 6)
    np.save(corpus / "some.npy", np.where(truth < 6, truth, -1))
    np.save(corpus / "one.npy", np.where(np.arange(len(truth)) == 0, 3, -1))
    keys = (corpus / "emb" / "keys.txt").read_text().splitlines()
    out = ask(corpus / "clusters", corpus / "emb", corpus / "ask", count=10, truth=corpus / "some.npy", rounds=2)
    answers = load_answers(out / "answers.json", len(truth), keys)
    a, b = np.isin(answers.pairs, known).T
    assert 0 < (a & b).sum() < len(answers)
    assert ((answers.answer == UNSURE) == ~(a & b)).all()
    rows = list(csv.DictReader((out / "rounds.csv").read_text().splitlines()))
    for row, labels in ((rows[0], corpus / "clusters"), (rows[-1], out)):
        found = scores(truth[known], np.load(labels / "labels.npy")[known])
        assert (float(row["Fp"]), float(row["Fb"])) == (round(found["pairwise_f"], 4), round(found["bcubed_f"], 4))
    out = ask(corpus / "clusters", corpus / "emb", corpus / "none", count=5, truth=corpus / "one.npy")
    assert [row["yes_in_round"] for row in csv.DictReader((out / "rounds.csv").read_text().splitlines())] == ["", ""]


def test_what_cannot_be_asked(corpus):
    with pytest.raises(InputError, match="--rounds 2 needs --truth"):
        ask(corpus / "clusters", corpus / "emb", corpus / "a", rounds=2)
    with pytest.raises(InputError, match="--truth clusters again, so it needs a folder made by cluster"):
        ask(corpus / "truth.npy", corpus / "emb", corpus / "b", truth=corpus / "truth.npy")
    with pytest.raises(InputError, match="1 thumbnails for .* make thumbnails of the faces that were embedded"):
        ask(corpus / "clusters", corpus / "emb", corpus / "c", thumbnails=thumbnails(corpus / "t", ["a"]))
    pictures = thumbnails(corpus / "all", (corpus / "emb" / "keys.txt").read_text().splitlines())
    with pytest.raises(InputError, match="--thumbnails with --truth; there is no page"):
        ask(corpus / "clusters", corpus / "emb", corpus / "d", truth=corpus / "truth.npy", thumbnails=pictures)


def test_faces_of_one_name_cannot_be_asked_about(corpus):
    keys = (corpus / "emb" / "keys.txt").read_text().splitlines()
    (corpus / "emb" / "keys.txt").write_text("\n".join([keys[1], *keys[1:]]) + "\n")
    (corpus / "clusters" / "keys.txt").unlink()
    with pytest.raises(InputError, match="stands there more than once"):
        ask(corpus / "clusters", corpus / "emb", corpus / "ask")


def test_the_page_saves_the_answers(corpus, browser):
    keys = (corpus / "emb" / "keys.txt").read_text().splitlines()
    pictures = thumbnails(corpus / "t", keys)
    out = ask(corpus / "clusters", corpus / "emb", corpus / "ask", count=3, thumbnails=pictures)
    context = browser.new_context(offline=True)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((out / "questions.html").as_uri())
    assert page.evaluate("document.getElementById('left').naturalWidth") == 8
    page.keyboard.press("y")
    page.click("text=No (n)")
    page.keyboard.press("u")
    page.reload()  # the browser keeps what was answered
    assert page.text_content("#place") == "Question 1 of 3, all answered: save them"
    assert page.locator("[aria-pressed=true]").text_content() == "Yes (y)"
    page.click("text=No (n)")
    for key in ("b", "Shift+Y", "n", "b", "b", "y", "n"):
        page.keyboard.press(key)
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "answers.json"
    download.value.save_as(corpus / "answers.json")
    words = page.text_content("pre").split()
    context.close()
    asked, saved = (load_answers(folder / "answers.json", len(keys), keys) for folder in (out, corpus))
    assert asked.pairs.tolist() == saved.pairs.tolist()
    assert saved.answer.tolist() == [1, 0, 2]
    assert wrong == []
    real = {"answers.json": str(corpus / "answers.json"), "again": str(corpus / "again")}
    assert words[:7] == ["python", "-m", "clustering", "cluster", "--backend", "dbscan", "--model"]
    assert run("python -m clustering", COMMANDS, [real.get(word, word) for word in words[3:]]) == 0
    labels = np.load(corpus / "again" / "labels.npy")[saved.pairs[:2]]
    assert (labels[:, 0] == labels[:, 1]).tolist() == [True, False]
