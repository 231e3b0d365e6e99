"""export as a command: folders, links, tables and lists of people; names that survive another clustering."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustering.__main__ import COMMANDS
from clustering.commands.cluster import cluster
from clustering.commands.export import export
from clustering.review.decisions import labels_hash
from facerec.pipeline.command_line import run
from facerec.pipeline.embeddings import save_embeddings
from facerec.pipeline.files import InputError, write_lines, write_table
from facerec.stores.open import open_store

LABELS = np.array([0, 0, 0, 1, 1, -1])
CONFIDENCE = np.array([0.9, 0.8, 0.2, 0.9, 0.9, 0], np.float32)
KEYS = ["a/1.jpg", "b/1.jpg", "a/2.jpg", "a/3.jpg", "-4.jpg", "a/5.jpg"]


@pytest.fixture
def clusters(tmp_path) -> Path:
    for key in KEYS:
        (tmp_path / "faces" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / key).write_bytes(key.encode())
    return write_clusters(tmp_path / "clusters", LABELS)


def write_clusters(folder: Path, labels: np.ndarray) -> Path:
    folder.mkdir()
    np.save(folder / "labels.npy", labels)
    np.save(folder / "confidence.npy", CONFIDENCE)
    write_lines(folder / "keys.txt", KEYS)
    return folder


def decide(path: Path, labels: np.ndarray, *decisions: dict) -> Path:
    path.write_text(json.dumps({"clustering": labels_hash(labels), "decisions": list(decisions)}))
    return path


def pictures(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jpg"))


NAMED = {"action": "name", "cluster": 0, "name": "Anna Übel"}
EXPECTED = [
    "doubtful/Anna Übel/2.jpg", "nobody/5.jpg", "people/Anna Übel/a_1.jpg", "people/Anna Übel/b_1.jpg",
    "people/person_0001/-4.jpg", "people/person_0001/3.jpg",
]  # fmt: skip


def test_embeddings_of_the_faces_in_another_order_are_refused(tmp_path, blobs):
    embeddings, _ = blobs(identities=8, faces=10, spread=0.3)
    order, keys = np.arange(80)[::-1], [f"{row}.jpg" for row in range(80)]
    for name, rows_, named in (("emb", slice(None), keys), ("other", order, keys[::-1]), ("bare", order, keys)):
        (tmp_path / name).mkdir()
        save_embeddings(tmp_path / name, embeddings[rows_], named)
    clusters = cluster("hilander", tmp_path / "emb", tmp_path / "clusters")
    with pytest.raises(InputError, match="face '0.jpg' is in row 0 there, but in row 79 of .*other"):
        export(clusters=clusters, embeddings=tmp_path / "other", as_="csv", out=tmp_path / "out")
    with pytest.raises(InputError, match="clusters of other embeddings than .*bare"):
        export(clusters=clusters, embeddings=tmp_path / "bare", as_="csv", out=tmp_path / "out")
    export(clusters=clusters, embeddings=tmp_path / "emb", as_="csv", out=tmp_path / "out")


def test_decisions_about_clusters_of_large_numbers_are_applied(tmp_path, clusters, read_csv):
    large = np.where(LABELS < 0, -1, 1000 + 7 * LABELS)
    np.save(clusters / "labels.npy", large)
    named = decide(tmp_path / "d.json", large, {"action": "name", "cluster": 1007, "name": "Anna"})
    out = export(clusters=clusters, as_="csv", out=tmp_path / "out", decisions=named)
    assert [row["person"] for row in read_csv(out / "faces.csv")] == [*["person_0001"] * 3, "Anna", "Anna", ""]


def test_faces_that_a_person_decided_about_are_not_doubtful(tmp_path, clusters, read_csv):
    for name, decision in (
        ("keep", {"action": "keep", "cluster": 0}),
        ("split", {"action": "split", "cluster": 0, "parts": [[2]]}),
    ):
        decisions = decide(tmp_path / f"{name}.json", LABELS, decision)
        out = export(clusters=clusters, as_="csv", min_size=1, out=tmp_path / name, decisions=decisions)
        assert [row["doubtful"] for row in read_csv(out / "faces.csv")] == [""] * 6
    out = export(clusters=clusters, as_="csv", min_size=1, out=tmp_path / "none")
    assert [row["doubtful"] for row in read_csv(out / "faces.csv")] == ["", "", "yes", "", "", ""]


def test_people_in_folders_with_doubtful_faces_apart(tmp_path, clusters, caplog, read_csv):
    named = decide(tmp_path / "d.json", LABELS, NAMED)
    with caplog.at_level("INFO"):
        out = export(clusters=clusters, out=tmp_path / "out", faces=tmp_path / "faces", decisions=named)
    assert pictures(out) == EXPECTED
    assert (out / EXPECTED[0]).read_bytes() == b"a/2.jpg"
    assert "2 people (1 with a name) of 6 faces; 1 doubtful, 1 nobody's" in caplog.text
    assert read_csv(out / "people.csv") == [
        {"person": "Anna Übel", "named": "yes", "cluster": "0", "faces": "3", "doubtful": "1", "photographs": ""},
        {"person": "person_0001", "named": "", "cluster": "1", "faces": "2", "doubtful": "0", "photographs": ""},
    ]
    found = read_csv(out / "faces.csv")
    assert found[2] == {
        "key": "a/2.jpg", "person": "Anna Übel", "cluster": "0", "confidence": "0.2000", "doubtful": "yes",
        "file": "doubtful/Anna Übel/2.jpg", "photograph": "",
    }  # fmt: skip
    assert found[4]["key"] == "'-4.jpg"


def test_links_table_and_list_from_the_shell(tmp_path, clusters, read_csv):
    def command(name: str, form: str, *options: object) -> Path:
        words = ["export", "--clusters", clusters, "--as", form, "--out", tmp_path / name, *options]
        assert run("clustering", COMMANDS, [str(word) for word in words]) == 0
        return tmp_path / name

    linked = command("linked", "symlinks", "--faces", tmp_path / "faces")
    picture = linked / "people" / "person_0001" / "a_1.jpg"
    assert (picture.is_symlink(), picture.read_bytes()) == (True, b"a/1.jpg")
    table = command("table", "csv")
    assert not pictures(table)
    files = [[row["file"] for row in read_csv(folder / "faces.csv")] for folder in (table, linked)]
    assert files[0] == files[1]
    store = open_store(command("listed", "identities", "--faces", tmp_path / "faces"))
    assert store.identities == ["person_0001"] * 2 + ["person_0002"] * 2
    assert store.encoded(3) == b"-4.jpg"


def test_names_survive_another_clustering_and_changes_are_listed(tmp_path, clusters, caplog, read_csv):
    both = decide(tmp_path / "d.json", LABELS, NAMED, {"action": "name", "cluster": 1, "name": "Ben"})
    first = export(clusters=clusters, out=tmp_path / "first", faces=tmp_path / "faces", decisions=both)
    again = write_clusters(tmp_path / "again", np.array([1, 1, 0, -1, 0, 0]))
    second = export(clusters=again, out=tmp_path / "second", faces=tmp_path / "faces", previous=first)
    assert [row["person"] for row in read_csv(second / "faces.csv")] == ["Anna Übel"] * 2 + ["Ben", "", "Ben", "Ben"]
    assert [tuple(row.values()) for row in read_csv(second / "changes.csv")] == [
        ("a/2.jpg", "Anna Übel", "Ben"), ("a/3.jpg", "Ben", ""), ("a/5.jpg", "", "Ben"),
    ]  # fmt: skip
    whole = write_clusters(tmp_path / "whole", np.zeros(6, np.int64))
    third = export(clusters=whole, out=tmp_path / "third", faces=tmp_path / "faces", previous=second)
    assert {row["person"] for row in read_csv(third / "faces.csv")} == {"Ben"}
    assert "1 name(s) of the earlier export have no cluster now: Anna Übel" in caplog.text


def test_a_name_that_was_changed_in_one_table_alone_is_refused(tmp_path, clusters):
    named = decide(tmp_path / "d.json", LABELS, NAMED)
    first = export(clusters=clusters, out=tmp_path / "first", as_="csv", decisions=named)
    table = first / "people.csv"
    table.write_text(table.read_text().replace("Anna Übel", "Anna"))
    with pytest.raises(InputError, match="people.csv: no face in faces.csv is of 'Anna'; change a name in both tables"):
        export(clusters=clusters, out=tmp_path / "second", as_="csv", previous=first)


@pytest.mark.parametrize("name", ["../../elsewhere", "A/B", "."])
def test_a_changed_name_that_no_folder_can_have_is_refused(tmp_path, clusters, name):
    first = export(
        clusters=clusters, out=tmp_path / "first", as_="csv", decisions=decide(tmp_path / "d", LABELS, NAMED)
    )
    for table in ("faces.csv", "people.csv"):
        (first / table).write_text((first / table).read_text().replace("Anna Übel", name))
    with pytest.raises(InputError, match="people.csv: a name is .* without slashes"):
        export(clusters=clusters, out=tmp_path / "second", faces=tmp_path / "faces", previous=first)
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("step", [40, 10**12])
def test_clusters_keep_their_numbers(tmp_path, clusters, step, read_csv):
    """New faces that assign gave to clusters of many old faces: numbers beyond that of the new faces."""
    labels = np.where(LABELS < 0, -1, (LABELS + 1) * step)
    assigned = write_clusters(tmp_path / "assigned", labels)
    out = export(clusters=assigned, out=tmp_path / "out", as_="csv")
    assert [int(row["cluster"]) for row in read_csv(out / "faces.csv")] == labels.tolist()
    assert [int(row["cluster"]) for row in read_csv(out / "people.csv")] == [step, 2 * step]


def test_decisions_about_clusters_with_gaps_in_their_numbers(tmp_path, clusters, read_csv):
    labels = np.where(LABELS < 0, -1, LABELS + 40)
    assigned = write_clusters(tmp_path / "assigned", labels)
    named = decide(tmp_path / "d.json", labels, NAMED | {"cluster": 40})
    out = export(clusters=assigned, out=tmp_path / "out", as_="csv", decisions=named)
    assert [row["person"] for row in read_csv(out / "people.csv")] == ["Anna Übel", "person_0001"]


@pytest.mark.parametrize("suffix", ["tsv", "csv", "lst"])
def test_faces_and_photographs_that_a_list_names(tmp_path, clusters, suffix):
    faces = tmp_path / "faces" / f"faces.{suffix}"
    write_lines(faces, ["identity,path", *(f"x,{key}" for key in KEYS)])
    wanted = pictures(export(clusters=clusters, out=tmp_path / "folder", faces=tmp_path / "faces"))
    assert pictures(export(clusters=clusters, out=tmp_path / "list", faces=faces)) == wanted
    (tmp_path / "crops").mkdir()
    write_table(tmp_path / "crops" / "faces.csv", ("crop", "photograph"), [(key, key) for key in KEYS])
    out = export(clusters=clusters, out=tmp_path / "whole", faces=tmp_path / "crops", photographs=faces)
    assert pictures(out) == wanted


def test_whole_photographs_of_a_person(tmp_path, clusters, read_csv):
    origin = ["party.jpg", "party.jpg", "trip/x.jpg", "party.jpg", "trip/x.jpg", "alone.jpg"]
    write_table(tmp_path / "faces" / "faces.csv", ("crop", "photograph"), zip(KEYS, origin, strict=True))
    for name in origin:
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "album" / name).write_bytes(name.encode())
    out = export(clusters=clusters, out=tmp_path / "out", faces=tmp_path / "faces", photographs=tmp_path / "album")
    assert pictures(out) == [
        "doubtful/person_0001/x.jpg", "nobody/alone.jpg", "people/person_0001/party.jpg",
        "people/person_0002/party.jpg", "people/person_0002/x.jpg",
    ]  # fmt: skip
    assert [row["photographs"] for row in read_csv(out / "people.csv")] == ["2", "2"]
    assert [row["photograph"] for row in read_csv(out / "faces.csv")] == origin


def test_faces_of_no_known_photograph_are_of_none(tmp_path, clusters, read_csv):
    rows = [(KEYS[0], "x.jpg"), (KEYS[1], "x.jpg")]
    write_table(tmp_path / "faces" / "faces.csv", ("crop", "photograph"), rows)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "x.jpg").write_bytes(b"x")
    out = export(clusters=clusters, out=tmp_path / "out", faces=tmp_path / "faces", photographs=tmp_path / "album")
    assert pictures(out) == ["people/person_0001/x.jpg"]
    assert [row["photographs"] for row in read_csv(out / "people.csv")] == ["1", "0"]
    assert json.loads((out / "meta.json").read_text())["results"]["missing"] == 4


def test_without_a_confidence_nothing_is_doubtful_unless_it_is_estimated(tmp_path, blobs, caplog, read_csv):
    embeddings, labels = blobs(identities=4, faces=6)
    mixed = labels.copy()
    mixed[0] = 1
    (tmp_path / "emb").mkdir()
    save_embeddings(tmp_path / "emb", embeddings, [f"{row}.jpg" for row in range(24)])
    np.save(tmp_path / "labels.npy", mixed)
    with pytest.raises(InputError, match="no keys.txt with the faces' names; give the --embeddings"):
        export(clusters=tmp_path / "labels.npy", out=tmp_path / "none", as_="csv")
    out = export(clusters=tmp_path / "labels.npy", out=tmp_path / "out", as_="csv", embeddings=tmp_path / "emb")
    assert [row["key"] for row in read_csv(out / "faces.csv") if row["doubtful"]] == ["0.jpg"]
    np.save(tmp_path / "alone.npy", np.arange(24))
    export(clusters=tmp_path / "alone.npy", out=tmp_path / "nobody", as_="csv", embeddings=tmp_path / "emb")
    assert "so no face is doubtful" not in caplog.text
    (tmp_path / "bare").mkdir()
    np.save(tmp_path / "bare" / "labels.npy", mixed)
    write_lines(tmp_path / "bare" / "keys.txt", [f"{row}.jpg" for row in range(24)])
    out = export(clusters=tmp_path / "bare", out=tmp_path / "sure", as_="csv")
    assert not any(row["doubtful"] for row in read_csv(out / "faces.csv"))
    assert "no confidence of its own, so no face is doubtful" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--as folders without --faces"),
        ({"as_": "csv", "photographs": "."}, "--as csv without --faces"),
        ({"as_": "csv", "photographs": ".", "faces": "faces"}, "--photographs with --as csv"),
        ({"photographs": "clusters", "faces": "faces"}, "faces.csv: no table of align; --photographs needs --faces"),
        ({"faces": "clusters"}, "has none of the first 6 files, e.g. a/1.jpg"),
        ({"faces": "clusters/keys.txt"}, "keys.txt: no folder of pictures; give the folder or list that was embedded"),
        ({"faces": "faces", "min_confidence": 2}, "min_confidence is 2"),
        ({"faces": "faces", "previous": "faces"}, "people.csv: no such file"),
    ],
)
def test_unusable_input_is_refused(tmp_path, clusters, options, message):
    options = {
        name: tmp_path / value if isinstance(value, str) and name != "as_" else value for name, value in options.items()
    }
    with pytest.raises(InputError, match=message):
        export(clusters=clusters, out=tmp_path / "out", **options)
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("as_", ["folders", "symlinks"])
def test_an_export_among_its_own_pictures_is_refused(tmp_path, clusters, as_):
    for option in ("faces", "photographs"):
        options = {"faces": tmp_path / "faces", option: tmp_path / "faces", "as_": as_}
        with pytest.raises(InputError, match=f"--out lies in --{option} .*; copies would count as further {option}"):
            export(clusters=clusters, out=tmp_path / "faces" / "a" / "sorted", **options)
    assert open_store(tmp_path / "faces").keys == sorted(KEYS)
    export(clusters=clusters, out=tmp_path / "faces" / "tables", faces=tmp_path / "faces", as_="csv")


def test_without_clusters_the_packaged_model_makes_them(tmp_path, blobs, read_csv):
    embeddings, people = blobs(identities=4, faces=5, spread=0.3)
    (tmp_path / "emb").mkdir()
    save_embeddings(tmp_path / "emb", embeddings, [f"{row:02d}.jpg" for row in range(20)], people)
    out = export(out=tmp_path / "out", embeddings=tmp_path / "emb", as_="csv")
    owners = {int(row["key"][:2]): row["person"] for row in read_csv(out / "faces.csv")}
    assert len(set(owners.values())) == 4
    assert all(owners[a] == owners[b] for a in range(20) for b in range(20) if people[a] == people[b])
    (tmp_path / "emb" / "keys.txt").write_text("".join(f"{row % 19:02d}.jpg\n" for row in range(20)))
    with pytest.raises(InputError, match="emb: key '00.jpg' stands there more than once"):
        export(out=tmp_path / "other", embeddings=tmp_path / "emb", as_="csv")
    with pytest.raises(InputError, match="--clusters or --embeddings: give one of them"):
        export(out=tmp_path / "other", as_="csv")
