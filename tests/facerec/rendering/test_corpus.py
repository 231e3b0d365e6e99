import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from facerec.__main__ import COMMANDS
from facerec.commands.synth import synth
from facerec.rendering.composition import FEWEST, MOST, SPLITS, face_counts, generator_of
from facerec.rendering.ijb_files import ProtocolFace, plan_media, write_protocol

SMALL = {"labelled": 3, "validation": 2, "unlabelled": 4, "test": 6, "faces_per_identity": 4.0, "size": 48}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth(out=tmp_path_factory.mktemp("synth") / "corpus", workers=1, **SMALL)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def read_words(path: Path) -> list[list[str]]:
    return [line.split(" ") for line in path.read_text().splitlines()]


def subjects(protocol: Path) -> dict[str, str]:
    """Template to subject, from galleries and probes."""
    rows = [row for path in protocol.glob("synth_1N_*.csv") for row in read_csv(path)]
    return {row["TEMPLATE_ID"]: row["SUBJECT_ID"] for row in rows}


def test_layout(corpus: Path):
    assert {path.name for path in corpus.iterdir()} == {
        "labelled", "validation", "unlabelled", "unlabelled_truth.npy", "test", "protocol", "contact_sheet.png",
        "meta.json",
    }  # fmt: skip
    assert sorted(path.name for path in (corpus / "labelled").iterdir()) == ["id00000", "id00001", "id00002"]
    assert all(path.is_file() for part in ("unlabelled", "test") for path in (corpus / part).iterdir())
    image = cv2.imread(str(next((corpus / "test").iterdir())))
    assert image.shape == (48, 48, 3)
    assert cv2.imread(str(corpus / "contact_sheet.png")).shape == (3 * 48, 10 * 48, 3)
    faces = json.loads((corpus / "meta.json").read_text())["results"]["faces"]
    assert faces == {
        part: len(list((corpus / part).rglob("*.jpg"))) for part in ("labelled", "validation", "unlabelled", "test")
    }


def test_same_bytes_whatever_the_number_of_workers(corpus: Path, tmp_path: Path, hashes):
    again = synth(out=tmp_path / "again", workers=2, **SMALL)
    assert hashes(again) == hashes(corpus)


def test_another_seed_has_other_faces(corpus: Path, tmp_path: Path, hashes):
    other = synth(out=tmp_path / "other", workers=1, seed=1, **SMALL)
    assert not {h for n, h in hashes(other).items() if n.endswith("jpg")} & set(hashes(corpus).values())


def test_parts_share_no_identity():
    people = {(split, i): generator_of(0, SPLITS[split], i).random(4).tobytes() for split in SPLITS for i in range(50)}
    assert len(set(people.values())) == len(people)


def test_no_two_pictures_are_the_same(corpus: Path, hashes):
    pictures = [digest for name, digest in hashes(corpus).items() if name.endswith("jpg")]
    assert len(set(pictures)) == len(pictures)


def test_truth_has_a_row_a_face_and_is_shuffled(corpus: Path):
    truth = np.load(corpus / "unlabelled_truth.npy")
    names = sorted(path.name for path in (corpus / "unlabelled").iterdir())
    assert truth.dtype == np.int64
    assert truth.shape == (len(names),)
    assert names == [f"{index:06d}.jpg" for index in range(len(names))]
    assert set(truth) == set(range(4))
    assert np.count_nonzero(np.diff(truth)) > 4


def test_strangers_are_seen_once(tmp_path: Path):
    crowd = synth(out=tmp_path / "crowd", workers=1, strangers=3, **SMALL)
    counts = np.bincount(np.load(crowd / "unlabelled_truth.npy"))
    assert len(counts) == 4 + 3
    assert counts[:4].min() >= FEWEST
    assert counts[4:].tolist() == [1, 1, 1]
    assert len(list((crowd / "unlabelled").iterdir())) == counts.sum()


def test_truth_is_that_of_the_pictures(corpus: Path, tmp_path: Path):
    """Row i of the truth is the identity whose sitting the i-th picture is from: take one sitting again and look."""
    from facerec.rendering.corpus import Sitting, photograph

    truth = np.load(corpus / "unlabelled_truth.npy")
    count = int((truth == 2).sum())
    paths = tuple(tmp_path / f"{index}.jpg" for index in range(count))
    photograph(Sitting(0, SPLITS["unlabelled"], 2, 48, 1.0, paths, tuple(range(count))))
    expected = {path.read_bytes() for path in paths}
    assert {(corpus / f"unlabelled/{row:06d}.jpg").read_bytes() for row in np.flatnonzero(truth == 2)} == expected


def test_faces_per_identity_have_a_heavy_tail():
    counts = face_counts(np.random.default_rng(0), 5000, 12.0)
    assert (counts.min(), counts.max()) == (FEWEST, MOST)
    assert counts.mean() == pytest.approx(12, rel=0.06)
    assert np.median(counts) < 0.85 * counts.mean()


def test_templates_are_whole(corpus: Path):
    rows = read_words(corpus / "protocol/synth_face_tid_mid.txt")
    keys = {path.name for path in (corpus / "test").iterdir()}
    assert {row[0] for row in rows} == keys
    assert len(rows) == len(keys)
    owners = defaultdict(set)
    for _, template, media in rows:
        owners[media].add(template)
    assert max(map(len, owners.values())) == 1
    assert max(Counter(row[2] for row in rows).values()) > 1
    assert {row[1] for row in rows} == set(subjects(corpus / "protocol"))


def test_pairs_are_genuine_exactly_if_the_subject_is_the_same(corpus: Path):
    owner = subjects(corpus / "protocol")
    pairs = read_words(corpus / "protocol/synth_template_pair_label.txt")
    assert all((owner[a] == owner[b]) == (label == "1") for a, b, label in pairs)
    assert len({frozenset(pair[:2]) for pair in pairs}) == len(pairs) == len(owner) * (len(owner) - 1) // 2


def test_galleries_and_probes(corpus: Path):
    g1, g2, probes = (
        read_csv(corpus / f"protocol/synth_1N_{name}.csv") for name in ("gallery_G1", "gallery_G2", "probe_mixed")
    )
    one, two = ({row["SUBJECT_ID"] for row in rows} for rows in (g1, g2))
    assert (len(one), len(two)) == (3, 3)
    assert not one & two
    assert {row["SUBJECT_ID"] for row in probes} == one | two
    for rows in (g1, g2):
        assert len({row["TEMPLATE_ID"] for row in rows}) == len({row["SUBJECT_ID"] for row in rows})
    assert not {row["TEMPLATE_ID"] for row in probes} & {row["TEMPLATE_ID"] for row in g1 + g2}
    named = {(row["FILENAME"].split("/")[1], row["TEMPLATE_ID"]) for row in g1 + g2 + probes}
    faces = {(row[0], row[1]) for row in read_words(corpus / "protocol/synth_face_tid_mid.txt")}
    assert named == faces


def test_frames_of_one_media_look_alike(corpus: Path):
    rows = read_words(corpus / "protocol/synth_face_tid_mid.txt")
    owner = subjects(corpus / "protocol")
    thumbs = [cv2.resize(cv2.imread(str(corpus / "test" / row[0])), (6, 6)).ravel().astype(float) for row in rows]
    gaps = np.linalg.norm(np.array(thumbs)[:, None] - np.array(thumbs)[None], axis=2)
    media, subject = np.array([row[2] for row in rows]), np.array([owner[row[1]] for row in rows])
    together = (media[:, None] == media) & ~np.eye(len(rows), dtype=bool)
    apart = (subject[:, None] == subject) & (media[:, None] != media)
    assert np.median(gaps[together]) < 0.7 * np.median(gaps[apart])


@pytest.mark.parametrize("faces", range(4, 13))
def test_plan_has_two_templates_of_whole_media(faces: int):
    for seed in range(20):
        plan = plan_media(np.random.default_rng(seed), faces)
        templates, media = zip(*plan, strict=True)
        assert len(plan) == faces
        assert set(templates) == set(range(max(templates) + 1))
        assert max(templates) >= 1
        assert len(set(plan)) == len(set(media))
        assert list(media) == sorted(media)


def test_impostor_pairs_are_limited_and_genuine_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("facerec.rendering.ijb_files.IMPOSTOR_PAIRS", 100)
    faces = [ProtocolFace(f"{index}.jpg", index // 3, index, index) for index in range(60)]
    counts = write_protocol(tmp_path, faces, 112, np.random.default_rng(0))
    assert counts == {"templates": 60, "media": 60, "genuine_pairs": 60, "impostor_pairs": 100}
    pairs = read_words(tmp_path / "synth_template_pair_label.txt")
    assert Counter(pair[2] for pair in pairs) == {"0": 100, "1": 60}


def test_default_test_set_has_enough_impostors():
    rng = np.random.default_rng(0)
    templates = [max(t for t, _ in plan_media(rng, int(rng.integers(4, 13)))) + 1 for _ in range(200)]
    assert sum(templates) ** 2 / 2 - sum(t * t for t in templates) > 100_000


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("labelled", "-1", "between 1 and"),
        ("strangers", "-1", "between 0 and"),
        ("unlabelled", "0", "between 1 and"),
        ("test", "3", "between 4 and"),
        ("faces_per_identity", "1", "between 2 and 60"),
        ("size", "31", "between 32 and"),
        ("difficulty", "2.5", "between 0 and 2"),
        ("seed", "-5", "expected a number at least 0 and below 9223372036854775808"),
        ("workers", "-1", "expected a number at least 0"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status_of, option: str, value: str, text: str
):
    status = status_of(COMMANDS, ["synth", "--out", tmp_path / "out", f"--{option}", value])
    message = capsys.readouterr().err
    assert status == 2
    assert f"--{option} {value}" in message.replace(f"--{option}: ", f"--{option} ")
    assert text in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for children in /proc")
def test_workers_end_with_their_parent(tmp_path: Path, processes: SimpleNamespace):
    command = [sys.executable, "-m", "facerec", "synth", "--out", str(tmp_path / "corpus"), "--workers", "2"]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    assert processes.wait(lambda: len(processes.children(parent.pid)) >= 2)
    workers = processes.children(parent.pid)
    parent.kill()
    parent.wait()
    assert len(workers) >= 2
    assert processes.wait(lambda: not any(processes.alive(worker) for worker in workers))
