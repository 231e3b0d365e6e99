"""Protocols as they are found: other delimiters, headers and ids, without galleries, closed, with missing faces."""

import csv
import json

import numpy as np
import pytest

from eval.commands.ijb import ijb
from eval.comparison.runs import load_runs
from eval.protocols.open import load_protocol
from eval.protocols.tables import read_table
from facerec.pipeline.files import InputError, write_lines


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """They take most of the time, and other tests look at them."""
    for name in ("plot_det", "plot_iet"):
        monkeypatch.setattr(f"eval.report.curves.{name}", lambda *_: None)


def run(protocol, embeddings, out, **options):
    ijb(protocol=protocol, embeddings=embeddings, out=out, **options)
    return json.loads((out / "metrics.json").read_text())


@pytest.fixture
def noisy(embeddings, keys):
    rows = np.load(embeddings / "embeddings.npy") + 0.8 * np.random.default_rng(3).standard_normal((11, 4))
    np.save(embeddings / "embeddings.npy", rows.astype(np.float32))
    write_lines(embeddings / "keys.txt", keys)
    return embeddings


def rewrite(protocol, change):
    for path in protocol.iterdir():
        path.write_bytes(change(path.read_text(), path.suffix == ".csv").encode())


def words(text, is_csv):
    """Ids as words: t70, s1, m1."""
    lines = text.splitlines()
    head, lines = (lines[:1], lines[1:]) if is_csv else ([], lines)
    fields = [line.split("," if is_csv else " ") for line in lines]
    if is_csv:
        fields = [[f"t{one[0]}", f"s{one[1]}", one[2]] for one in fields]
    elif fields[0][0].isdigit():
        fields = [[f"t{one[0]}", f"t{one[1]}", one[2]] for one in fields]
    else:
        fields = [[one[0], f"t{one[1]}", f"m{one[2]}"] for one in fields]
    return "\n".join([*head, *(("," if is_csv else " ").join(one) for one in fields)]) + "\n"


def decimals(text, is_csv):
    """As pandas writes numbers of a column with gaps."""
    if not is_csv:
        return text
    head, *lines = text.splitlines()
    fields = [line.split(",") for line in lines]
    return "\n".join([head, *(f"{one[0]}.0,{one[1]}.0,{one[2]}" for one in fields)]) + "\n"


VARIANTS = {
    "mark": lambda text, is_csv: "\ufeff" + text,
    "tabs": lambda text, is_csv: text.replace("," if is_csv else " ", "\t"),
    "semicolons": lambda text, is_csv: text.replace(",", ";") if is_csv else text,
    "small": lambda text, is_csv: text.replace("TEMPLATE_ID", "template_id").replace("SUBJECT_ID", "Subject_Id"),
    "blank": lambda text, is_csv: "\n\n" + text,
    "blanks": lambda text, is_csv: " \r\n" + text.replace("\n", " \t\r\n  \r\n ").replace(" 1\t", "\t 1"),
    "words": words,
    "decimals": decimals,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_files_that_are_written_otherwise_give_the_same(protocol, noisy, tmp_path, name):
    expected = run(protocol, noisy, tmp_path / "plain")
    rewrite(protocol, VARIANTS[name])
    assert run(protocol, noisy, tmp_path / "other") == expected


def test_files_that_macos_leaves_do_no_harm(protocol, noisy, tmp_path):
    expected = run(protocol, noisy, tmp_path / "plain")
    names = [path.name for path in protocol.iterdir()]
    for name in [*names, "ijbc_11_G1_G2_matches.csv"]:  # the last is of NIST's layout
        (protocol / f"._{name}").write_bytes(b"\0\5\26\7")
    assert run(protocol, noisy, tmp_path / "other") == expected
    with pytest.raises(InputError, match="no protocol files here, but .*protocol has some; give that folder"):
        load_protocol(protocol.parent)


def test_words_are_named_in_messages(protocol):
    rewrite(protocol, words)
    path = protocol / "tiny_1N_gallery_G1.csv"
    path.write_text(path.read_text().replace("t70,s1,y", "t70,s2,y"))
    with pytest.raises(InputError, match="line 3: template t70 is of subject s2 here and of subject s1 in line 2"):
        load_protocol(protocol)


def test_a_word_among_numbers_is_a_mistake(tmp_path):
    (tmp_path / "x.csv").write_text("A\n1\n2.0\nx\n")
    with pytest.raises(InputError, match="line 4: A is 'x'; expected a whole number"):
        read_table(tmp_path / "x.csv", {"A": "id"}, ",", header=True)
    (tmp_path / "x.csv").write_text("A\n1.0\n2.00\n3.\n")
    assert read_table(tmp_path / "x.csv", {"A": "int64"}, ",", header=True)["A"].to_pylist() == [1, 2, 3]
    (tmp_path / "x.txt").write_text("x1 tid\n3 4\n")
    with pytest.raises(InputError, match="line 1: A is 'x1'; expected a whole number; remove the line with names"):
        read_table(tmp_path / "x.txt", {"A": "int64", "B": "id"})


def test_without_galleries_it_is_verification_alone(protocol, noisy, tmp_path):
    expected = run(protocol, noisy, tmp_path / "plain")
    for path in protocol.glob("*1N*"):
        path.unlink()
    metrics = run(protocol, noisy, tmp_path / "pairs", bootstrap=20, compatibility=True)
    for name in ("fnmr_at_fmr", "eer", "auc"):
        assert metrics[name] == expected[name]
    assert not {"fnir_at_fpir", "rank1"} & {*metrics, *metrics["intervals"]}
    assert "insightface_ijb_1n" not in metrics["compatibility"]
    with pytest.raises(InputError, match="no FNIR, as of 1:1 alone or a closed set"):
        load_runs([tmp_path / "pairs"])
    names = {path.name for path in (tmp_path / "pairs").iterdir()}
    assert names == {"metrics.json", "det.csv", "scores.csv", "worst.csv", "bootstrap.npy", "meta.json"}


def test_one_gallery_will_do(protocol, noisy, tmp_path):
    expected = run(protocol, noisy, tmp_path / "plain")
    (protocol / "tiny_1N_gallery_G1.csv").unlink()
    metrics = run(protocol, noisy, tmp_path / "one", bootstrap=20)
    assert metrics["fnir_at_fpir"] == expected["fnir_at_fpir_per_gallery"]["G2"]
    assert list(metrics["intervals"]["fnir_at_fpir_per_gallery"]) == ["G2"]
    (protocol / "tiny_1N_gallery_G2.csv").unlink()
    with pytest.raises(InputError, match="expected one file that ends in _1N_gallery_G1.csv or"):
        load_protocol(protocol)


def test_a_closed_set_has_ranks(protocol, noisy, tmp_path, caplog):
    """All four subjects in both galleries: who is searched is always there."""
    expected = run(protocol, noisy, tmp_path / "plain")
    one, two = (protocol / f"tiny_1N_gallery_G{number}.csv" for number in (1, 2))
    text = one.read_text() + "".join(two.read_text().splitlines(keepends=True)[1:])
    for path in (one, two):
        path.write_text(text)
    metrics = run(protocol, noisy, tmp_path / "closed", bootstrap=20)
    assert "a closed set; ranks alone, no FNIR" in caplog.text
    assert metrics["fnir_at_fpir"] == {}
    assert metrics["rank10"] == 1
    assert metrics["rank1"] <= expected["rank1"]  # among four, not two
    assert metrics["counts"]["identification"]["G1"]["mated_probes"] == 4
    assert metrics["intervals"]["rank1"][0] <= metrics["rank1"] <= metrics["intervals"]["rank1"][1]
    assert (tmp_path / "closed" / "cmc.csv").exists()
    assert not (tmp_path / "closed" / "iet.csv").exists()


def test_faces_without_embedding_are_counted_or_left_out(protocol, noisy, keys, tmp_path, caplog):
    """pd.jpg, alone in template 33: a genuine pair (5 33) and an impostor pair (12 33), a probe of subject 4."""
    rows = np.load(noisy / "embeddings.npy")
    rows[10] = 0
    np.save(noisy / "embeddings.npy", rows)
    expected = run(protocol, noisy, tmp_path / "zero")
    np.save(noisy / "embeddings.npy", rows[:10])
    write_lines(noisy / "keys.txt", keys[:10])
    with pytest.raises(InputError, match=r"face 'pd.jpg' has no embedding .* \(1 of 11 faces .*; --missing count"):
        run(protocol, noisy, tmp_path / "refused")
    counted = run(protocol, noisy, tmp_path / "count", missing="count")
    assert "1 of 11 faces have no embedding, or one of zeros" in caplog.text
    assert counted.pop("missing") == "count"
    assert counted == expected
    left = run(protocol, noisy, tmp_path / "exclude", missing="exclude", bootstrap=20)
    assert left["with_failures"]["fnmr_at_fmr"] == expected["fnmr_at_fmr"]
    assert left["with_failures"]["rank1"] == expected["rank1"]
    assert left["comparisons"] != expected["comparisons"]
    assert [left["counts"][name] for name in ("genuine_pairs", "impostor_pairs", "probes")] == [3, 4, 3]
    scored = expected["counts"]["verification"]["1e-1"]["false_non_matches"] - 1  # 0 never reaches the threshold
    assert left["counts"]["verification"]["1e-1"]["false_non_matches"] == scored
    np.save(noisy / "embeddings.npy", rows[:0:-1])
    write_lines(noisy / "keys.txt", [f"{row}.png" for row in range(10)])
    with pytest.raises(InputError, match=r"\(11 of 11 faces are missing there; a face there is '0.png'\)"):
        run(protocol, noisy, tmp_path / "all", missing="count")


def test_templates_without_faces_fail(protocol, noisy, tmp_path, caplog):
    path = protocol / "tiny_template_pair_label.txt"
    path.write_text(path.read_text() + "70 99 0\n12 77 0\n")
    metrics = run(protocol, noisy, tmp_path / "out")
    assert "line 10: template 99 has no faces in tiny_face_tid_mid.txt (2 such templates)" in caplog.text
    assert metrics["counts"]["empty_templates"] == 2
    assert metrics["counts"]["impostor_pairs"] == 7
    with (tmp_path / "out" / "worst.csv").open(newline="") as file:
        shown = {
            row[f"{side}_template"]: row[f"{side}_face"] for row in csv.DictReader(file) for side in ("first", "second")
        }
    assert (shown["99"], shown["77"]) == ("", "")
    assert shown["12"] == "c0.jpg"
    left = run(protocol, noisy, tmp_path / "left", missing="exclude")
    assert left["counts"]["impostor_pairs"] == 5


def test_crops_match_by_name_without_suffix(protocol, noisy, keys, tmp_path):
    expected = run(protocol, noisy, tmp_path / "plain")
    write_lines(noisy / "keys.txt", [key.replace(".jpg", ".png") for key in keys])
    assert run(protocol, noisy, tmp_path / "png") == expected
    rows = np.load(noisy / "embeddings.npy")
    np.save(noisy / "embeddings.npy", np.concatenate([rows, rows[:1]]))
    write_lines(noisy / "keys.txt", [*(key.replace(".jpg", ".png") for key in keys), "img/a0.webp"])
    with pytest.raises(InputError, match="key 'a0' occurs twice"):
        run(protocol, noisy, tmp_path / "twice")
