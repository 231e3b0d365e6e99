"""The review page: what the command writes and refuses, and the page itself in a browser that opens it from disk."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.answers.file import DIFFERENT, SAME, UNSURE, Answers, load_answers, save_answers
from clustering.commands.review import review
from clustering.review.decision_files import load_decisions
from clustering.review.decisions import apply_decisions, joined_by_name
from clustering.review.page import KEYS, Frame, write_page
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import EmbeddingSet, normalize, save_embeddings
from facerec.pipeline.files import InputError
from facerec.pipeline.thumbnails import COLUMNS, Thumbnails, thumbnails_of

SIDE = 16
HOSTILE = [
    '"><img src=x onerror="window.hacked=1">.jpg',
    "</script><script>window.hacked=1</script>.jpg",
    "'+(window.hacked=1)+'\\\"//.jpg",
    "a/${window.hacked=1}/b &amp; c.jpg",
]
PATIENCE = 60_000
"""Milliseconds that the browser may take for one thing on a busy machine."""


def colour(row: int) -> np.ndarray:
    """A colour (BGR) that is a face's own."""
    return np.array([40 + 170 * (row % 2), 40 + 34 * (row // 2 % 6), 40 + 34 * (row // 12 % 6)], np.uint8)


def write_thumbnails(folder: Path, keys: list[str], missing: tuple[int, ...] = ()) -> Path:
    """Plain squares in place of faces."""
    folder.mkdir(parents=True)
    squares = (np.full((SIDE, SIDE, 3), colour(row), np.uint8) for row in range(72))
    encoded = [cv2.imencode(".jpg", square)[1].tobytes() for square in squares]
    pictures = [b"" if row in missing else encoded[row % 72] for row in range(len(keys))]
    (folder / "images.bin").write_bytes(b"".join(pictures))
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum([len(picture) for picture in pictures])]))
    (folder / "keys.txt").write_text("".join(f"{key}\n" for key in keys))
    return folder


def write_clusters(folder: Path, labels: np.ndarray, confidence: np.ndarray | None, *levels: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "labels.npy", labels)
    if confidence is not None:
        np.save(folder / "confidence.npy", confidence.astype(np.float32))
    for number, level in enumerate(levels):
        (folder / "levels" / f"{number:02d}").mkdir(parents=True)
        np.save(folder / "levels" / f"{number:02d}" / "labels.npy", level)
    return folder


@pytest.fixture(scope="session")
def case(tmp_path_factory) -> SimpleNamespace:
    """Six clusters of 60 faces in mixed order; 3 and 4 are one person, 5 is two, which level 0 tells apart."""
    root = tmp_path_factory.mktemp("review")
    random = np.random.default_rng(0)
    centres = normalize(random.normal(size=(6, 24)))
    people = np.repeat([0, 1, 2, 3, 3, 4, 5], [12, 12, 12, 8, 8, 5, 3])
    labels = np.repeat([0, 1, 2, 3, 4, 5, 5], [12, 12, 12, 8, 8, 5, 3])
    order = random.permutation(60)
    people, labels = people[order], labels[order]
    embeddings = normalize(centres[people] + 0.08 * random.normal(size=(60, 24)))
    confidence = np.array([0.9, 0.3, 0.8, 0.95, 0.99, 0.6])[labels]
    keys = [f"{row:03d} {HOSTILE[row % 4]}" for row in range(60)]
    (root / "emb").mkdir()
    save_embeddings(root / "emb", embeddings, keys)
    fine = np.unique(labels * 10 + (people == 5), return_inverse=True)[1]
    above = np.where(labels == 4, 3, labels)
    clusters = write_clusters(root / "clusters", labels, confidence, fine, labels)
    whole = write_clusters(root / "whole", above, confidence, fine, labels, above)
    thumbs = write_thumbnails(root / "thumbs", keys, missing=(7,))
    page = review(clusters, root / "emb", thumbs, root / "page", title="</title><script>window.hacked=1</script>")
    return SimpleNamespace(
        root=root, labels=labels, people=people, keys=keys, clusters=clusters, whole=whole, thumbs=thumbs, page=page,
        embeddings=root / "emb",
    )  # fmt: skip


def data_of(page: Path) -> dict:
    text = (page / "data.js").read_text(encoding="ascii")
    assert text.startswith("window.REVIEW = ")
    return json.loads(text.removeprefix("window.REVIEW = ").rstrip().removesuffix(";"))


def ints(text: str) -> list[int]:
    return np.frombuffer(base64.b64decode(text), "<i4").tolist()


# ---------------------------------------------------------------- what is written


def test_page_has_clusters_by_doubt_and_pictures_in_their_order(case):
    data = data_of(case.page)
    assert ints(data["names"]) == [1, 5, 2, 0, 3, 4]
    rows = ints(data["rows"])
    assert case.labels[rows].tolist() == np.repeat([1, 5, 2, 0, 3, 4], [12, 8, 12, 12, 8, 8]).tolist()
    sheet = cv2.imread(str(case.page / "sheets" / "00000.jpg"))
    assert sheet.shape == (SIDE * COLUMNS, SIDE * COLUMNS, 3)
    for place, row in enumerate(rows):
        middle = sheet[place // COLUMNS * SIDE + SIDE // 2, place % COLUMNS * SIDE + SIDE // 2].astype(int)
        wanted = np.full(3, 128) if row == 7 else colour(row).astype(int)
        assert np.abs(middle - wanted).max() <= 12, row
    keys = (case.page / "keys" / "00000.js").read_text(encoding="ascii")
    assert json.loads(keys[len("window.REVIEW.named(0, ") : -3]) == [case.keys[row] for row in rows]


def test_worst_faces_come_first(case):
    rows = np.array(ints(data_of(case.page)["rows"]))
    members = rows[case.labels[rows] == 5]
    assert set(case.people[members[:3]]) == {5}  # the three strangers among eight


def test_many_faces_make_many_sheets_and_scripts(tmp_path):
    count = KEYS + 10
    labels = np.arange(count) // 3
    np.save(tmp_path / "emb.npy", normalize(np.random.default_rng(0).normal(size=(count, 4))))
    clusters = write_clusters(tmp_path / "c", labels, np.random.default_rng(0).random(count))
    thumbs = write_thumbnails(tmp_path / "t", [str(row) for row in range(count)])
    page = review(clusters, tmp_path / "emb.npy", thumbs, tmp_path / "page")
    assert len(list((page / "sheets").iterdir())) == -(-count // 256)
    assert [file.name for file in sorted((page / "keys").iterdir())] == ["00000.js", "00001.js"]


def test_bare_labels_have_their_confidence_estimated(case, tmp_path):
    np.save(tmp_path / "labels.npy", case.labels)
    page = review(tmp_path / "labels.npy", case.embeddings, case.thumbs, tmp_path / "page")
    data = data_of(page)
    assert ints(data["names"])[0] == 5  # the mixed one
    assert data["levels"] == []
    assert ints(data["merges"]["places"]) == []


def test_hierarchy_of_another_folder_stands_above(case, tmp_path):
    np.save(tmp_path / "labels.npy", case.labels)
    page = review(tmp_path / "labels.npy", case.embeddings, case.thumbs, tmp_path / "page", hierarchy=case.whole)
    data = data_of(page)
    groups = dict(zip(ints(data["names"]), ints(data["levels"][2]["group"]), strict=True))
    assert groups[3] == groups[4]
    assert len(set(groups.values())) == 5


BAD = [
    ("--clusters {r}/none.npy", "every face is unassigned"),
    ("--clusters {r}/short.npy", "60 embeddings for 3 faces"),
    ("--clusters {r}/huge.npy", "huge.npy: cluster 1099511627776; number clusters from 0, below 2^30"),
    ("--clusters {r}/nowhere.npy", "nowhere.npy: no such file"),
    ("--thumbnails {r}/few", "2 thumbnails for 60 faces"),
    ("--thumbnails {r}/emb", "offsets.npy: no such file"),
    ("--thumbnails {r}/cut", "make the folder again with python -m facerec thumbnails"),
    ("--thumbnails {r}/spoilt", "the picture of face 0 is damaged"),
    ("--thumbnails {r}/renamed", "face 1 is 'other', but '001 "),
    ("--hierarchy {r}/emb", "no levels; make a hierarchy with"),
    ("--hierarchy {r}/tiny", "a hierarchy of 3 faces, but 60 in"),
    ("--clusters {r}/sure", "expected one in [0, 1] each"),
]


@pytest.fixture(scope="session")
def bad(case) -> Path:
    root = case.root
    np.save(root / "none.npy", np.full(60, -1))
    np.save(root / "short.npy", np.zeros(3, np.int64))
    np.save(root / "huge.npy", np.arange(60) // 59 << 40)
    write_thumbnails(root / "few", ["a", "b"])
    for name in ("cut", "spoilt", "renamed"):
        shutil.copytree(case.thumbs, root / name)
    images = case.thumbs.joinpath("images.bin").read_bytes()
    (root / "cut" / "images.bin").write_bytes(images[:-5])
    (root / "spoilt" / "images.bin").write_bytes(b"x" * len(images))
    (root / "renamed" / "keys.txt").write_text("\n".join([case.keys[0], "other", *case.keys[2:]]))
    write_clusters(root / "tiny", np.zeros(3, np.int64), None, np.arange(3))
    write_clusters(root / "sure", case.labels, np.full(60, 1.5))
    return root


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_is_one_line_and_leaves_nothing(options, message, case, bad, tmp_path, capsys):
    name, value = options.format(r=bad).split(" ", 1)
    arguments = {"--clusters": case.clusters, "--embeddings": case.embeddings, "--thumbnails": case.thumbs}
    arguments |= {"--out": tmp_path / "out", name: value}
    assert run("clustering", COMMANDS, ["review", *(str(x) for pair in arguments.items() for x in pair)]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_picture_in_the_middle_that_is_damaged(case, tmp_path):
    folder = shutil.copytree(case.thumbs, tmp_path / "t")
    offsets = np.load(folder / "offsets.npy")
    images = bytearray((folder / "images.bin").read_bytes())
    images[offsets[20] : offsets[21]] = b"x" * (offsets[21] - offsets[20])
    (folder / "images.bin").write_bytes(images)
    assert Thumbnails.load(folder).read(19) is not None
    with pytest.raises(InputError, match="the picture of face 20 is damaged"):
        review(case.clusters, case.embeddings, folder, tmp_path / "page")


# ---------------------------------------------------------------- the page in a browser


@pytest.fixture
def opened(browser):
    """Opens a page's folder from disk; at the end nothing must have gone wrong on it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    context.set_default_timeout(PATIENCE)
    wrong: list[str] = []

    def open_page(folder: Path):
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.goto((folder / "review.html").as_uri())
        page.wait_for_selector(".card .face")
        return page

    yield open_page
    context.close()
    assert wrong == []


def shown(page) -> list[str]:
    return page.eval_on_selector_all(
        "#pane .row",
        """rows => rows
        .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
        .map(row => row.querySelector(".link").textContent)""",
    )


def press(page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def saved(page, path: Path) -> dict:
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "decisions.json"
    download.value.save_as(path)
    return json.loads(path.read_text())


def toast(page) -> str:
    page.wait_for_selector("#toast.shown")
    return page.text_content("#toast")


def test_clusters_sorted_by_doubt_as_contact_sheets(case, opened):
    page = opened(case.page)
    assert page.text_content("#facts") == "6 clusters, 60 faces"
    first = page.locator("#pane .row").first
    assert shown(page)[:3] == ["#1", "#5", "#2"]
    assert "30 % sure" in first.text_content()
    assert first.locator(".card > .sheet .face").count() == 12
    rows = ints(data_of(case.page)["rows"])
    for place in (0, 3, 17):
        face = page.locator(f'.card > .sheet .face[data-at="{place}"]')
        picture = cv2.imdecode(np.frombuffer(face.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
        assert np.abs(middle - colour(rows[place])).max() <= 14
    page.select_option("#order", "size")
    assert set(shown(page)[:3]) == {"#0", "#1", "#2"}


def test_keys_decide_and_the_file_applies(case, opened, tmp_path):
    page = opened(case.page)
    rows = ints(data_of(case.page)["rows"])
    page.keyboard.press("d")  # 1
    page.locator('.card > .sheet .face[data-at="12"]').click()  # selects cluster 5 and takes a face out
    press(page, "s k k")  # into a cluster of its own; keeps 2 and 0
    assert page.locator(".card .badge").all_text_contents()[:2] == ["dropped", "1 part split off"]
    press(page, "m")  # 3 with 4, which is closest
    content = saved(page, tmp_path / "decisions.json")
    assert content["decisions"] == [
        {"action": "keep", "cluster": 0},
        {"action": "drop", "cluster": 1},
        {"action": "keep", "cluster": 2},
        {"action": "split", "cluster": 5, "parts": [[rows[12]]]},
        {"action": "merge", "clusters": [3, 4]},
    ]
    found = apply_decisions(case.labels, load_decisions(tmp_path / "decisions.json", case.labels))
    wanted = np.where(case.labels == 1, -1, np.where(case.labels == 4, 3, case.labels))
    wanted[rows[12]] = 6
    np.testing.assert_array_equal(found, wanted)
    assert page.text_content("#progress") == "6 of 6 clusters decided"
    answers = load_answers(tmp_path / "decisions.json", 60, case.keys)
    known = {
        (*sorted(pair), answer) for pair, answer in zip(answers.pairs.tolist(), answers.answer.tolist(), strict=True)
    }
    last = {name: rows[place] for name, place in zip([1, 5, 2, 0, 3, 4], [11, 19, 31, 43, 51, 59], strict=True)}
    assert (*sorted([last[3], last[4]]), SAME) in known
    assert (*sorted([last[5], rows[12]]), DIFFERENT) in known
    assert {(*sorted([last[2], row]), SAME) for row in np.flatnonzero(case.labels == 2) if row != last[2]} <= known
    assert len(known) == 1 + 1 + 2 * 11


def test_answers_that_clusters_were_made_with_are_saved_again(case, opened, tmp_path):
    clusters = shutil.copytree(case.clusters, tmp_path / "answered")
    of = [np.flatnonzero(case.labels == cluster).tolist() for cluster in range(6)]
    loose = of[5][1]
    pairs = [(of[0][0], of[0][1], SAME), (of[0][0], of[1][0], DIFFERENT), (of[3][0], of[4][1], DIFFERENT),
             (of[5][0], loose, SAME), (of[2][0], of[2][1], UNSURE)]  # fmt: skip
    earlier = Answers(np.array([pair[:2] for pair in pairs]), np.array([pair[2] for pair in pairs]), np.full(5, np.nan))
    save_answers(clusters / "answers.json", earlier, case.keys)
    page = opened(review(clusters, case.embeddings, case.thumbs, tmp_path / "page"))
    saved(page, tmp_path / "a.json")
    found = load_answers(tmp_path / "a.json", 60, case.keys)
    assert list(zip(*found.pairs.T.tolist(), found.answer.tolist(), strict=True)) == pairs[:4]
    page.locator(f'.card > .sheet .face[data-at="{ints(data_of(case.page)["rows"]).index(loose)}"]').click()
    page.click("nav [data-view=pairs]")
    press(page, "m")  # 3 with 4
    saved(page, tmp_path / "b.json")
    found = load_answers(tmp_path / "b.json", 60, case.keys)
    known = {(*sorted(pair), word) for pair, word in zip(found.pairs.tolist(), found.answer.tolist(), strict=True)}
    assert {(*sorted(pair[:2]), pair[2]) for pair in pairs[:2]} <= known
    assert len(known) == 4  # and that 3 and 4 are the same, and the loose face is another


def test_decisions_come_back_to_another_clustering_of_the_faces(case, opened, tmp_path):
    page = opened(case.page)
    page.click("nav [data-view=pairs]")
    press(page, "m")
    content = saved(page, tmp_path / "decisions.json")
    (tmp_path / "d.json").write_text(json.dumps(content | {"clustering": "0" * 64}))
    press(page, "u")
    page.set_input_files("#load", tmp_path / "d.json")
    page.wait_for_function("document.getElementById('toast').textContent.includes('1 pairs of clusters')")
    assert saved(page, tmp_path / "again.json") == content
    press(page, "u")
    one, other = (np.flatnonzero(case.labels == cluster).tolist() for cluster in (3, 4))
    content["answers"] += [{"faces": [one[0], other[0]], "answer": "different"}]
    content["answers"] += [{"faces": [one[1], int(np.flatnonzero(case.labels == 0)[0])], "answer": "different"}]
    (tmp_path / "d.json").write_text(json.dumps(content | {"clustering": "0" * 64}))
    page.set_input_files("#load", tmp_path / "d.json")
    page.wait_for_function("[...decided.values()].includes('apart')")
    assert saved(page, tmp_path / "both.json")["decisions"] == [{"action": "apart", "clusters": [0, 3]}]


def test_undo_and_coming_back(case, opened, tmp_path):
    page = opened(case.page)
    press(page, "k d u")
    assert saved(page, tmp_path / "a.json")["decisions"] == [{"action": "keep", "cluster": 1}]
    page.close()
    page = opened(case.page)
    assert page.text_content("#progress") == "1 of 6 clusters decided"
    press(page, "k")  # takes it back
    assert saved(page, tmp_path / "b.json")["decisions"] == []
    page.set_input_files("#load", tmp_path / "a.json")
    assert toast(page) == "1 decisions loaded."
    assert page.text_content("#progress") == "1 of 6 clusters decided"
    other = json.loads((tmp_path / "a.json").read_text()) | {"clustering": "0" * 64}
    (tmp_path / "other.json").write_text(json.dumps(other))
    page.set_input_files("#load", tmp_path / "other.json")
    page.wait_for_function("document.getElementById('toast').textContent.includes('another clustering')")
    assert page.text_content("#progress") == "1 of 6 clusters decided"


def test_decisions_about_other_faces_of_the_same_labels_are_neither_kept_nor_loaded(case, opened, tmp_path):
    page = opened(case.page)
    press(page, "k")
    saved(page, tmp_path / "a.json")
    page.close()
    shutil.copytree(case.page, tmp_path / "other")
    data = tmp_path / "other" / "data.js"
    data.write_text(data.read_text("ascii").replace(data_of(case.page)["faces"], "0" * 64), "ascii")
    page = opened(tmp_path / "other")
    assert page.text_content("#progress") == "0 of 6 clusters decided"
    page.set_input_files("#load", tmp_path / "a.json")
    assert toast(page) == "These decisions are about other faces with the same labels."
    assert page.text_content("#progress") == "0 of 6 clusters decided"


def test_duplicates_side_by_side(case, opened, tmp_path):
    page = opened(case.page)
    page.click("nav [data-view=pairs]")
    first = page.locator("#pane .row").first
    assert first.locator(".side .link").all_text_contents() == ["#3", "#4"]
    assert first.locator(".side .face").count() == 16
    press(page, "m k")
    second = sorted(
        int(name[1:]) for name in page.locator("#pane .row").nth(1).locator(".side .link").all_text_contents()
    )
    press(page, "Home k")
    content = saved(page, tmp_path / "decisions.json")["decisions"]
    assert {"action": "apart", "clusters": [3, 4]} in content  # instead of the merge
    assert {"action": "apart", "clusters": second} in content
    assert len(content) == 2
    load_decisions(tmp_path / "decisions.json", case.labels)


def test_a_merge_that_contradicts_is_refused(case, opened, tmp_path):
    clusters = [3, 4]
    content = {"clustering": data_of(case.page)["clustering"], "decisions": [
        {"action": "merge", "clusters": [0, 3]}, {"action": "apart", "clusters": [0, 4]},
    ]}  # fmt: skip
    (tmp_path / "d.json").write_text(json.dumps(content))
    page = opened(case.page)
    page.set_input_files("#load", tmp_path / "d.json")
    toast(page)
    page.click("nav [data-view=pairs]")
    press(page, "m")
    page.wait_for_function("document.getElementById('toast').textContent.includes('different people')")
    assert {"action": "merge", "clusters": clusters} not in saved(page, tmp_path / "e.json")["decisions"]


def test_doubtful_merges_side_by_side(case, opened, tmp_path):
    page = opened(case.page)
    page.click("nav [data-view=merges]")
    assert page.locator("#pane .row").count() == 1
    assert page.locator("#pane .side").nth(0).locator(".face").count() == 5
    assert page.locator("#pane .side").nth(1).locator(".face").count() == 3
    press(page, "s")
    strangers = np.flatnonzero(case.people == 5).tolist()
    content = saved(page, tmp_path / "decisions.json")["decisions"]
    assert content == [{"action": "split", "cluster": 5, "parts": [strangers]}]
    found = apply_decisions(case.labels, load_decisions(tmp_path / "decisions.json", case.labels))
    assert found[strangers].tolist() == [6, 6, 6]
    page.check("#open")
    assert "No merge is left" in page.text_content("#pane")


def test_one_cluster_closer(case, opened, tmp_path):
    page = opened(case.page)
    press(page, "ArrowDown Enter")
    page.wait_for_selector("dialog .face")
    assert page.text_content("#closer-title") == "#5"
    assert page.locator("#closer-pane .title").all_text_contents() == ["Part 1 · 5 faces", "Part 2 · 3 faces"]
    assert page.locator("#closer-side li").all_text_contents() == ["level 1: this cluster", "level 0: 2 parts"]
    page.click("#closer-side li button")  # all faces together
    assert page.locator("#closer-pane .title").count() == 0
    page.click("#closer-side li button")
    page.locator("#closer-side .near button", has_text="Merge").first.click()
    assert page.locator("#closer-facts .badge.merge").count() == 1
    press(page, "u s Escape")
    page.wait_for_selector("dialog", state="hidden")
    content = saved(page, tmp_path / "decisions.json")["decisions"]
    assert content == [{"action": "split", "cluster": 5, "parts": [np.flatnonzero(case.people == 5).tolist()]}]


def test_proposals_are_there_at_the_first_visit_and_can_be_taken_back(case, opened, tmp_path):
    proposed = [{"action": "drop", "cluster": 1}, {"action": "merge", "clusters": [3, 4]}]
    embeddings, confidence = np.load(case.embeddings / "embeddings.npy"), np.load(case.clusters / "confidence.npy")
    pictures = Thumbnails.load(case.thumbs)
    write_page(tmp_path, Frame("Errors", proposed=proposed), embeddings, case.labels, confidence, [], pictures)
    page = opened(tmp_path)
    assert page.text_content("#progress") == "3 of 6 clusters decided"
    press(page, "End")  # 3 and 4
    assert page.locator(".badge.merge").count() == 2
    press(page, "Home")
    assert saved(page, tmp_path / "a.json")["decisions"] == proposed
    press(page, "d")  # of 1: takes it back
    page.close()
    page = opened(tmp_path)
    assert saved(page, tmp_path / "b.json")["decisions"] == proposed[1:]


def test_other_proposals_for_the_same_clusters_are_shown(case, opened, tmp_path):
    embeddings, confidence = np.load(case.embeddings / "embeddings.npy"), np.load(case.clusters / "confidence.npy")
    pictures = Thumbnails.load(case.thumbs)
    for name, cluster in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        proposed = [{"action": "drop", "cluster": cluster}]
        frame = Frame("Errors", proposed=proposed)
        write_page(tmp_path / name, frame, embeddings, case.labels, confidence, [], pictures)
        page = opened(tmp_path / name)
        assert saved(page, tmp_path / f"{name}.json")["decisions"] == proposed
        page.close()


def test_a_name_is_saved_and_loaded(case, opened, tmp_path):
    page = opened(case.page)
    press(page, "Enter")
    page.fill("#closer-name", "  ../Anna/\u0007Übel ")
    page.click("#closer-actions button:has-text('Keep')")
    page.wait_for_selector("dialog", state="hidden")
    page.wait_for_selector(".badge.called")
    content = saved(page, tmp_path / "decisions.json")["decisions"]
    assert content == [{"action": "keep", "cluster": 1}, {"action": "name", "cluster": 1, "name": "Anna Übel"}]
    press(page, "u u")
    page.set_input_files("#load", tmp_path / "decisions.json")
    page.wait_for_selector(".badge.called")
    assert saved(page, tmp_path / "again.json")["decisions"] == content
    load_decisions(tmp_path / "again.json", case.labels)


def test_merged_clusters_have_one_name(case, opened, tmp_path):
    page = opened(case.page)
    page.set_viewport_size({"width": 1280, "height": 3000})  # so that all rows are there

    def named(cluster: int, name: str) -> list[dict]:
        page.get_by_label(f"Who #{cluster} is").fill(name)
        page.keyboard.press("Enter")
        decisions = saved(page, tmp_path / "decisions.json")["decisions"]
        load_decisions(tmp_path / "decisions.json", case.labels)
        return [item for item in decisions if item["action"] == "name"]

    both = [{"action": "name", "cluster": 3, "name": "Anna"}, {"action": "name", "cluster": 4, "name": "Bo"}]
    assert named(3, "Anna") == both[:1]
    assert named(4, "Bo") == both
    page.click("nav [data-view=pairs]")
    press(page, "m")  # 3 with 4
    assert toast(page) == "#3 is Anna and #4 is Bo: take one name back first."
    page.click("nav [data-view=clusters]")
    assert named(4, "") == both[:1]
    page.click("nav [data-view=pairs]")
    press(page, "m")
    page.click("nav [data-view=clusters]")
    assert named(4, "Bo") == both[1:]
    assert named(4, "") == []


def test_clusters_that_are_apart_do_not_get_one_name(case, opened, tmp_path):
    page = opened(case.page)
    page.set_viewport_size({"width": 1280, "height": 3000})  # so that all rows are there
    page.click("nav [data-view=pairs]")
    press(page, "k")  # 3 and 4 are two people
    page.click("nav [data-view=clusters]")
    for cluster in (3, 4):
        page.get_by_label(f"Who #{cluster} is").fill("Anna")
        page.keyboard.press("Enter")
        content = saved(page, tmp_path / "decisions.json")["decisions"]
        assert {"action": "name", "cluster": 3, "name": "Anna"} in content
        assert len(content) == 2
    assert toast(page) == "#4 and #3 were said to be different people: take that back first."
    assert page.get_by_label("Who #4 is").input_value() == ""
    press(page, "u u")  # neither name nor apart
    for cluster in (3, 4):
        page.get_by_label(f"Who #{cluster} is").fill("Anna")
        page.keyboard.press("Enter")
        page.evaluate("takeTyped()")
    page.click("nav [data-view=pairs]")
    press(page, "k")
    page.wait_for_function("document.getElementById('toast').textContent.includes('are one person by name')")
    assert len(saved(page, tmp_path / "decisions.json")["decisions"]) == 2


RANDOM_DECISIONS = """
async ([seed, files]) => {
  window.redraw = () => {};
  const random = (most) => { seed = (seed * 48271) % 2147483647; return seed % most; };
  const [done, other] = [[], (place) => (place + 1 + random(sizes.length - 1)) % sizes.length];
  change([...decided.keys()].map((key) => [key, undefined]));
  for (let count = 5 + random(30); count > 0; count--) {
    const kind = random(11), place = random(sizes.length);
    done.push(`${kind} #${names[place]}`);
    if (kind === 0) keep(place);
    else if (kind === 1) drop(place);
    else if (kind === 2) splitCluster(place, dividing(place));
    else if (kind <= 4) merge(place, other(place));
    else if (kind === 5) apart(place, other(place));
    else if (kind <= 7) toggleFace(starts[place] + random(sizes[place]));
    else if (kind === 8) call(place, ["Anna", "Bo", ""][random(3)]);
    else if (kind === 9) undo();
    else if (files.length) await load(new File([files[random(files.length)]], "decisions.json"));
  }
  const found = JSON.stringify(saved());
  await load(new File([found], "decisions.json"));
  return [done, found, JSON.stringify(saved())];
}
"""


def test_whatever_was_decided_the_file_is_read_and_its_answers_say_the_same(case, opened, tmp_path):
    page, path, others = opened(case.page), tmp_path / "decisions.json", []
    for seed in range(1, 61):
        done, text, loaded = page.evaluate(RANDOM_DECISIONS, [seed, others])
        path.write_text(text)
        content = json.loads(text)
        decisions = load_decisions(path, case.labels, case.keys)
        labels = apply_decisions(case.labels, joined_by_name(decisions))
        for item in content["answers"]:
            one, other = item["faces"]
            if not {case.labels[one], case.labels[other]} & decisions.drop:
                together = labels[one] == labels[other] >= 0
                assert together == (item["answer"] == "same"), (seed, done, item)
        again = json.loads(loaded)
        assert again["decisions"] == content["decisions"], (seed, done)
        assert sorted(map(str, again["answers"])) == sorted(map(str, content["answers"])), (seed, done)
        if seed % 5 == 0:
            others.append(json.dumps(content | {"clustering": "0" * 64}))


def test_a_name_is_in_the_file_even_if_it_was_typed_just_before(case, opened, tmp_path):
    page = opened(case.page)
    press(page, "k")
    page.locator("#pane input.who").nth(0).fill("Anna")
    assert saved(page, tmp_path / "a.json")["decisions"] == [
        {"action": "keep", "cluster": 1}, {"action": "name", "cluster": 1, "name": "Anna"},
    ]  # fmt: skip
    page.locator("#pane input.who").nth(1).fill("Bo")
    page.keyboard.press("Enter")
    page.click("#undo")
    assert len(saved(page, tmp_path / "b.json")["decisions"]) == 2
    page.locator("#pane input.who").nth(1).fill("山田\u3000太郎\u00a0")
    page.keyboard.press("Enter")
    content = saved(page, tmp_path / "c.json")["decisions"]
    assert content[2] == {"action": "name", "cluster": 5, "name": "山田 太郎"}
    load_decisions(tmp_path / "c.json", case.labels)
    page.locator("#pane input.who").nth(0).fill("Zoë")
    page.reload()  # not close(): nothing tells when a closed page has said its last words
    page.wait_for_selector(".card .face")
    assert [item["name"] for item in saved(page, tmp_path / "d.json")["decisions"][1:]] == [
        "Zoë", "山田 太郎",
    ]  # fmt: skip


def test_buttons_in_the_list_and_what_to_do_with_the_file(case, opened, tmp_path):
    page = opened(case.page)
    assert "about 8.4 faces wrong" in page.locator("#pane .row").first.text_content()  # 12 faces, 30 % sure
    rows = page.locator("#pane .card")
    rows.nth(1).locator("text=Drop").click()  # cluster 5, then on to the next
    rows.nth(2).locator("input.who").fill("Bo")
    rows.nth(2).locator("text=Keep").click()
    page.wait_for_selector(".badge.called")
    assert rows.nth(0).locator("text=Split").is_disabled()
    assert page.locator("#people option").evaluate_all("nodes => nodes.map(node => node.value)") == ["Bo"]
    assert not page.locator("#saved").is_visible()
    content = saved(page, tmp_path / "decisions.json")["decisions"]
    assert content == [
        {"action": "keep", "cluster": 2},
        {"action": "drop", "cluster": 5},
        {"action": "name", "cluster": 2, "name": "Bo"},
    ]
    commands = page.locator("#commands pre").all_text_contents()
    paths = f"--clusters {case.clusters} --embeddings {case.embeddings} --decisions decisions.json"
    assert commands == [
        f"python -m clustering pseudolabel {paths} --out pseudo",
        f"python -m clustering export {paths} --as csv --out named",
    ]
    real = {"decisions.json": str(tmp_path / "decisions.json"), "named": str(tmp_path / "named")}
    assert run("clustering", COMMANDS, [real.get(word, word) for word in shlex.split(commands[1])[3:]]) == 0
    assert "Bo" in (tmp_path / "named" / "people.csv").read_text()


def test_files_and_names_are_found(case, opened):
    page = opened(case.page)
    row = int(np.flatnonzero(case.labels == 4)[0])  # 001: not the number of cluster 1
    page.fill("#find", f"{row:03d} ")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found:visible")
    assert page.text_content("#found") == "✕ 1 file in 1 cluster"
    assert shown(page) == ["#4"]
    first = page.locator(".card > .sheet .face").first
    assert ints(data_of(case.page)["rows"])[int(first.get_attribute("data-at"))] == row
    assert page.locator(".card > .sheet .face.found").count() == 1
    page.click("#found")
    assert len(shown(page)) > 1
    assert page.locator(".face.found").count() == 0
    page.locator("#pane .card").first.locator("input.who").fill("Zoë")
    page.keyboard.press("Enter")
    page.wait_for_selector(".badge.called")
    page.fill("#find", "zoë")
    page.keyboard.press("Enter")
    page.wait_for_selector("#found:visible")
    assert shown(page) == ["#1"]
    page.fill("#find", "nobody")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('toast').textContent.includes('has \"nobody\"')")


def test_a_phone_shows_the_faces_of_a_cluster(case, opened):
    page = opened(case.page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector(".card > .side", state="hidden")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it draws anew
    card = page.locator("#pane .card").first
    box, face = card.bounding_box(), card.locator("> .sheet .face").first.bounding_box()
    assert box["width"] > 360
    assert face["width"] == 56
    assert page.locator("#pane .row").first.locator(".card > .sheet .face").count() == 12  # on two lines
    keep = card.locator("text=Keep").bounding_box()
    assert keep["y"] + keep["height"] <= box["y"] + box["height"]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    card.locator("text=Open").click()
    page.wait_for_selector("dialog .face")
    assert page.locator("dialog").bounding_box()["width"] == 390


def test_typing_goes_on_when_the_page_draws_anew(case, opened, tmp_path):
    page = opened(case.page)
    fields = page.locator("#pane input.who")
    fields.nth(0).click()
    page.keyboard.type("Anna")
    fields.nth(1).click()
    page.keyboard.type("Mi")
    page.wait_for_selector(".badge.called")  # of Anna: all is drawn anew
    page.keyboard.type("kd")  # no keys for keep and drop
    assert fields.nth(1).input_value() == "Mikd"
    page.evaluate("document.getElementById('pane').scrollTop = 1e9")
    page.keyboard.type("e")
    press(page, "Enter")
    page.wait_for_function("document.querySelectorAll('#people option').length === 2")
    press(page, "k")  # which is a key again
    assert saved(page, tmp_path / "decisions.json")["decisions"] == [
        {"action": "keep", "cluster": 5},
        {"action": "name", "cluster": 1, "name": "Anna"},
        {"action": "name", "cluster": 5, "name": "Mikde"},
    ]


def test_the_focus_stays_and_tab_goes_through_cards_in_their_order(case, opened):
    page = opened(case.page)
    keep = page.locator("#pane .act.k").nth(1)
    keep.focus()
    press(page, "Space")
    assert page.text_content("#progress") == "1 of 6 clusters decided"
    press(page, "Space")
    assert page.text_content("#progress") == "0 of 6 clusters decided"
    press(page, "Tab Space")  # the button beside it
    assert page.locator(".badge").all_text_contents() == ["dropped"]
    page.locator("#pane").focus()
    press(page, "End Home")
    assert page.locator("#pane .card").evaluate_all("cards => cards.map(card => card.dataset.index)")[:3] == list("012")
    press(page, "Enter")
    page.fill("#closer-name", "Bo")
    press(page, "Tab")
    page.wait_for_function("document.querySelector('#closer-facts .badge')")
    assert page.evaluate("document.activeElement.textContent") == "kKeep"


def test_keys_work_after_a_box_is_ticked_with_caps_lock_and_for_the_first_faces(case, opened, tmp_path):
    page = opened(case.page)
    rows = ints(data_of(case.page)["rows"])
    page.check("#open")
    page.keyboard.press("Shift+K")
    press(page, "1 3 4 3 9")  # five has only eight faces, as many as four beside it
    assert page.locator(".card .face.out").count() == 2
    press(page, "Enter")
    page.wait_for_selector("dialog .face")
    second = int(page.locator("#closer-pane .face").nth(1).get_attribute("data-at"))
    press(page, "2 Escape")
    assert saved(page, tmp_path / "decisions.json")["decisions"] == [
        {"action": "keep", "cluster": 1},
        {"action": "exclude_faces", "cluster": 5, "faces": sorted(rows[at] for at in (12, 15, second))},
    ]


def test_without_a_merge_the_page_says_so(case, opened, tmp_path):
    clusters = write_clusters(tmp_path / "c", case.labels, None, case.labels, case.labels)
    page = opened(review(clusters, case.embeddings, case.thumbs, tmp_path / "page"))
    page.click("nav [data-view=merges]")
    assert (
        page.text_content("#pane .empty") == "No finer level divides these clusters, so there are no merges to look at."
    )


def test_hierarchy_above(case, opened, tmp_path):
    np.save(tmp_path / "labels.npy", case.labels)
    page = opened(
        review(tmp_path / "labels.npy", case.embeddings, case.thumbs, tmp_path / "page", hierarchy=case.whole)
    )
    page.fill("#find", "3")
    page.keyboard.press("Enter")
    assert "joins 1 more on level 2" in page.locator('.card[aria-current="true"]').text_content()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog .face")
    assert page.locator("#closer-side li").all_text_contents() == [
        "level 2: with #4 ", "levels 1 to 0: this cluster",
    ]  # fmt: skip


def test_hostile_names_stay_text(case, opened):
    page = opened(case.page)
    row = ints(data_of(case.page)["rows"])
    for place in range(4):
        face = page.locator(f'.card > .sheet .face[data-at="{place}"]')
        face.hover()
        page.wait_for_function(f"document.querySelector('.card > .sheet .face[data-at=\"{place}\"]').title")
        assert face.get_attribute("title").startswith(case.keys[row[place]] + "\n")
    assert {case.keys[row[place]][4:] for place in range(12)} == set(HOSTILE)
    assert page.title() == "</title><script>window.hacked=1</script>"
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script:not([src])").count() == 0


def test_ten_thousand_clusters(opened, tmp_path):
    clusters, faces = 10_000, 25_000
    random = np.random.default_rng(0)
    labels = np.concatenate(
        [np.arange(clusters), random.integers(0, clusters, faces - clusters - 900), np.zeros(900, int)]
    )
    confidence = random.random(clusters)[labels]
    np.save(tmp_path / "emb.npy", normalize(random.normal(size=(faces, 8))))
    folder = write_clusters(tmp_path / "c", labels, confidence)
    thumbs = write_thumbnails(tmp_path / "t", [f"{row}.jpg" for row in range(faces)])
    page = opened(review(folder, tmp_path / "emb.npy", thumbs, tmp_path / "page"))
    size = "document.querySelectorAll('*').length"
    names = ints(data_of(tmp_path / "page")["names"])
    assert shown(page)[:2] == [f"#{name}" for name in names[:2]]
    assert page.evaluate(size) < 1500
    for _ in range(3):
        page.evaluate("document.getElementById('pane').scrollTop += 100000")
        page.wait_for_function(f"!document.body.textContent.includes('#{names[0]} ')")
        assert 0 < page.locator("#pane .row").count() < 20
    page.evaluate("document.getElementById('pane').scrollTop = 1e9")
    page.wait_for_function(f"[...document.querySelectorAll('.head .link')].some(x => x.textContent === '#{names[-1]}')")
    assert page.evaluate(size) < 1500
    press(page, "End k")
    assert page.text_content("#progress") == "1 of 10,000 clusters decided"
    page.select_option("#order", "size")
    page.locator(".card .more").first.click()  # the largest, of more than 900 faces
    page.wait_for_selector("dialog .face")
    assert page.text_content("#closer-title") == "#0"
    assert page.evaluate(size) < 1500
    page.evaluate("document.getElementById('closer-pane').scrollTop = 1e9")
    page.wait_for_function("[...document.querySelectorAll('dialog .row')].at(-1).querySelector('.face')")
    assert page.evaluate(size) < 1500


def test_a_list_longer_than_browsers_draw(case, opened, tmp_path):
    count = 100_000
    page = shutil.copytree(case.page, tmp_path / "page")
    data = data_of(page)
    pack = lambda values, kind: base64.b64encode(np.asarray(values, kind).tobytes()).decode()  # noqa: E731
    data |= {name: pack(np.arange(count), "<i4") for name in ("names", "rows")}
    data |= {name: pack(np.ones(count), "<f4") for name in ("confidence", "cohesion", "fit")}
    data |= {"sizes": pack(np.ones(count), "<i4"), "near": {"count": 0, "places": "", "similarity": ""}, "levels": []}
    data |= {"merges": dict.fromkeys(data["merges"], ""), "pairs": dict.fromkeys(data["pairs"], "")}
    (page / "data.js").write_text(f"window.REVIEW = {json.dumps(data)};")
    for number in range(-(-count // 256)):
        (page / "sheets" / f"{number:05d}.jpg").hardlink_to(page / "sheets" / "00000.jpg") if number else None
    tab = opened(page)
    assert tab.evaluate("document.querySelector('.spacer').clientHeight") < 17e6
    selected = '.card[aria-current="true"] .link'
    for key, name in (("End", "#99999"), ("ArrowUp", "#99998"), ("Home", "#0"), ("ArrowDown", "#1")):
        tab.keyboard.press(key)
        assert tab.text_content(selected) == name
        assert tab.evaluate(f"""(() => {{
            const card = document.querySelector('{selected}').getBoundingClientRect();
            const pane = document.getElementById('pane').getBoundingClientRect();
            return card.top >= pane.top && card.bottom <= pane.bottom; }})()""")


def test_keys_that_repeat_are_said(tmp_path, caplog):
    pictures, faces = write_thumbnails(tmp_path / "t", ["a", "b", "a"]), np.eye(3, dtype=np.float32)
    assert len(thumbnails_of(pictures, EmbeddingSet(faces, None, None, tmp_path))) == 3
    assert "key 'a' stands there more than once; pictures go by row alone" in caplog.text


def test_faces_that_were_replaced_between_pictures_and_embeddings_are_said(tmp_path, caplog):
    pictures, faces = write_thumbnails(tmp_path / "t", ["a", "b"]), np.eye(2, dtype=np.float32)
    (tmp_path / "e").mkdir()
    for folder, contents in (("t", "0"), ("e", "0"), ("e", "1")):
        noted = {"inputs": {"faces": {"path": "faces", "hash": contents}}}
        (tmp_path / folder / "meta.json").write_text(json.dumps(noted))
        thumbnails_of(pictures, EmbeddingSet(faces, ["a", "b"], None, tmp_path / "e"))
    (said,) = caplog.messages
    assert f"t: faces has changed between these pictures and {tmp_path / 'e'}; if faces were replaced, make" in said
