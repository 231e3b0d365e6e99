from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.protocols.insightface import load_faces, load_pairs
from eval.protocols.matching import match_faces, pair_positions, subjects_of
from eval.protocols.open import load_protocol
from eval.protocols.protocol import load_subjects, positions
from facerec.pipeline.files import InputError


def edit(folder, end, old, new):
    (path,) = folder.glob("*" + end)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_media_before_templates_are_refused(protocol):
    path = protocol / "tiny_face_tid_mid.txt"
    lines = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join(f"{name} {media} {template}\n" for name, template, media in lines))
    message = "10 templates of only 9 media, and the third column has the templates of tiny_template_pair_label.txt"
    with pytest.raises(InputError, match=f"tiny_face_tid_mid.txt: {message}; .*exchange the last two"):
        load_protocol(protocol)


def test_templates_that_share_media_are_read(protocol):
    path = protocol / "tiny_face_tid_mid.txt"
    path.write_text("".join(f"{line.rpartition(' ')[0]} 70\n" for line in path.read_text().splitlines()))
    assert load_protocol(protocol).faces.media.tolist() == [70] * 11


def test_files_are_read(protocol):
    files = load_protocol(protocol)
    assert files.faces.template.tolist()[:4] == [70, 70, 70, 9]
    assert files.faces.media.tolist()[:3] == [1, 2, 2]
    assert (files.pairs.first[4], files.pairs.second[4], files.pairs.genuine[4]) == (70, 2, False)
    assert files.pairs.genuine.sum() == 4
    assert files.galleries["G1"].template.tolist() == [9, 31, 70]
    assert files.galleries["G1"].subject.tolist() == [2, 2, 1]
    assert files.probes.template.tolist() == [2, 33, 40, 55]
    first, second = pair_positions(files.pairs, np.unique(files.faces.template))
    assert (first[0], second[0]) == (8, 6)  # 70 and 40 of 2, 5, 9, 12, 31, 33, 40, 55, 70


@pytest.mark.parametrize(
    ("end", "old", "new"),
    [
        ("pair_label.txt", "12 33 0", "31 33 0"),  # another impostor
        ("pair_label.txt", "5 55 0", "5 55 1"),
        ("G1.csv", "31,2", "31,1"),
        ("mixed.csv", "40,1", "40,4"),
    ],
)
def test_the_digest_tells_comparisons_apart(protocol, end, old, new):
    before = load_protocol(protocol).digest()
    assert load_protocol(protocol).digest() == before
    edit(protocol, end, old, new)
    assert load_protocol(protocol).digest() != before


def test_the_digest_does_not_depend_on_names(protocol):
    before = load_protocol(protocol).digest()
    edit(protocol, "face_tid_mid.txt", " 2 8", " 99 8")
    for end, old, new in (("pair_label.txt", "9 2 1", "9 99 1"), ("pair_label.txt", "70 2 0", "70 99 0")):
        edit(protocol, end, old, new)
    edit(protocol, "mixed.csv", "\n2,2", "\n99,2")
    assert load_protocol(protocol).digest() == before


def test_blank_lines_and_carriage_returns_do_no_harm(protocol):
    path = protocol / "tiny_template_pair_label.txt"
    before = load_pairs(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    np.testing.assert_array_equal(load_pairs(path).second, before.second)


@pytest.mark.parametrize(("name", "rows", "templates"), [("G1", 5832, 1772), ("G2", 6024, 1759)])
def test_real_galleries_load(data, name, rows, templates):
    path = data / "ijbc_meta" / f"ijbc_1N_gallery_{name}.csv"
    gallery = load_subjects(path)
    lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert len(lines) == rows
    assert len(gallery.template) == templates
    expected = {int(line[0]): int(line[1]) for line in lines}
    assert dict(zip(gallery.template.tolist(), gallery.subject.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("end", "old", "new", "message"),
    [
        ("pair_label.txt", "9 2 1", "9 2", r"line 2: 2 fields in '9 2'; expected 3: first second label"),
        ("pair_label.txt", "9 2 1", "9 2 1 7", "line 2: 4 fields"),
        ("pair_label.txt", "9 2 1", "9 2.5 1", "line 2: second is '2.5'; expected a whole number"),
        ("pair_label.txt", "9 2 1", "9  1", "line 2: second is ''"),
        ("pair_label.txt", "9 2 1", "\n9 2 3", "line 3: label 3; expected 1 .* or 0"),
        ("tid_mid.txt", "b0.jpg 9 3", "b0.jpg 9", "line 4: 2 fields"),
        ("tid_mid.txt", "b0.jpg 9 3", "b 0.jpg 9 3", "line 4: 4 fields"),
        ("tid_mid.txt", "b0.jpg 9 3", "b0.jpg 9 99999999999999999999", "line 4: media is '9+'"),
        ("gallery_G1.csv", "TEMPLATE_ID", "TEMPLATE", "no column TEMPLATE_ID; the header is 'TEMPLATE,SUBJECT_ID"),
        ("gallery_G1.csv", "70,1,y", "70,2,y", "line 3: template 70 is of subject 2 here and of subject 1 in line 2"),
        ("gallery_G1.csv", "9,2,x", "x,2,x", "line 4: TEMPLATE_ID is 'x'"),
        ("tid_mid.txt", "a1.jpg 70 2", "a2.jpg 70 9", "line 3: face 'img/a2.jpg' is in template 70 twice, .* line 2"),
        ("probe_mixed.csv", "40,1,x\n", "\n40,1\n", "line 3: 2 fields"),
    ],
)
def test_malformed_lines_are_named(protocol, end, old, new, message):
    edit(protocol, end, old, new)
    with pytest.raises(InputError, match=f"{end} {message}|{end}: {message}"):
        load_protocol(protocol)


@pytest.mark.parametrize(
    ("end", "old", "new", "said"),
    [
        (
            "gallery_G2.csv",
            "5,4,x",
            "6,4,x",
            "G2.csv line 3: template 6 has no faces in tiny_face_tid_mid.txt (1",
        ),
        ("pair_label.txt", "9 2 1", "9 3 1", "pair_label.txt line 2: template 3 has no faces"),
        ("gallery_G2.csv", "5,4,x", "5,1,x", "G2.csv line 3: subject 1 is in gallery G2 here and in gallery G1 in"),
        ("gallery_G2.csv", "5,4,x\n", "5,4,x\n70,1,x\n", "(1 such subjects); each gallery is searched by itself"),
        (
            "gallery_G1.csv",
            "70,1,x\n",
            "70,1,x\n40,1,x\n",
            "template 40 is in gallery G1, too (1 such probe); it finds itself",
        ),
    ],
)
def test_what_is_unusual_is_said(protocol, caplog, end, old, new, said):
    edit(protocol, end, old, new)
    load_protocol(protocol)
    assert said in caplog.text


@pytest.mark.parametrize("end", ["face_tid_mid.txt", "template_pair_label.txt", "1N_probe_mixed.csv"])
def test_missing_empty_and_ambiguous_files_are_named(protocol, end):
    (path,) = protocol.glob("*" + end)
    lines = path.read_text()
    path.write_text("")
    with pytest.raises(InputError, match=f"{end}: no (lines|column)"):
        load_protocol(protocol)
    path.rename(path.with_name("other.txt"))
    with pytest.raises(InputError, match=f"expected one file that ends in _{end}( or .*)?, found none"):
        load_protocol(protocol)
    for name in ("a_", "b_"):
        path.with_name(name + end).write_text(lines)
    with pytest.raises(InputError, match=f"found a_{end}, b_{end}"):
        load_protocol(protocol)


def test_a_gallery_of_a_header_alone_is_empty(protocol):
    path = protocol / "tiny_1N_gallery_G1.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="G1.csv: no lines"):
        load_protocol(protocol)


@pytest.mark.parametrize(("label", "missing"), [("0", "genuine"), ("1", "impostor")])
def test_both_kinds_of_pairs_are_needed(protocol, label, missing):
    path = protocol / "tiny_template_pair_label.txt"
    path.write_text(f"70 40 {label}\n")
    with pytest.raises(InputError, match=f"no {missing} pair"):
        load_pairs(path)


def test_faces_match_by_key(protocol, keys):
    faces = load_faces(protocol / "tiny_face_tid_mid.txt")
    order = np.random.default_rng(0).permutation(len(keys))
    swapped = [keys[i].removeprefix("img/") if keys[i].startswith("img/") else "img/" + keys[i] for i in order]
    rows = match_faces(faces, ["another.jpg", *swapped], len(keys) + 1, Path("e"))
    assert [swapped[row - 1] for row in rows] == [
        key.removeprefix("img/") if key.startswith("img/") else "img/" + key for key in keys
    ]


def test_unmatched_faces_are_refused(protocol, keys):
    faces = load_faces(protocol / "tiny_face_tid_mid.txt")
    with pytest.raises(InputError, match=r"tid_mid.txt line 4: face 'b0.jpg' has no embedding in e \(2 of 11 faces"):
        match_faces(faces, [key for key in keys if key[0] != "b"], 9, Path("e"))
    with pytest.raises(InputError, match="key 'b0.jpg' occurs twice"):
        match_faces(faces, [*keys, "img/b0.jpg"], 12, Path("e"))
    with pytest.raises(InputError, match=r"e: 12 embeddings without keys.txt, but .* has 11 faces"):
        match_faces(faces, None, 12, Path("e"))
    np.testing.assert_array_equal(match_faces(faces, None, 11, Path("e")), np.arange(11))


def test_embeddings_of_a_folder_with_keys_do_not_match_by_line_without_it(protocol, tmp_path):
    """Their rows are in the order of the keys, which need not be that of the protocol."""
    faces, file = load_faces(protocol / "tiny_face_tid_mid.txt"), tmp_path / "embeddings.npy"
    np.testing.assert_array_equal(match_faces(faces, None, 11, file), np.arange(11))
    (tmp_path / "keys.txt").touch()
    with pytest.raises(InputError, match=f"keys.txt beside it says which face a row is; give the folder {tmp_path}"):
        match_faces(faces, None, 11, file)


def test_galleries_of_ijb_b_are_found(protocol):
    for name in ("1", "2"):
        (protocol / f"tiny_1N_gallery_G{name}.csv").rename(protocol / f"tiny_1N_gallery_S{name}.csv")
    assert list(load_protocol(protocol).galleries) == ["S1", "S2"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=8, unique=True), st.booleans())
def test_positions_by_table_and_by_search_are_the_same(ids, near):
    ids = np.sort(np.array(ids) % 50 if near else np.array(ids))
    ids = np.unique(ids)
    wanted = np.r_[ids, ids - 1, ids + 1, -(2**63), 2**63 - 1]
    expected = [list(ids).index(x) if x in ids else -1 for x in wanted.tolist()]
    assert positions(ids, wanted).tolist() == expected


def test_subjects_join_what_files_and_genuine_pairs_join(protocol):
    files = load_protocol(protocol)
    ids = np.unique(files.faces.template)
    subject = subjects_of(files, ids, *pair_positions(files.pairs, ids))
    # 2 9 31 (subject 2), 5 33 (subject 4), 12 55 (subject 3), 40 70 (subject 1)
    groups = [set(ids[subject == s].tolist()) for s in range(subject.max() + 1)]
    assert sorted(map(sorted, groups)) == [[2, 9, 31], [5, 33], [12, 55], [40, 70]]
