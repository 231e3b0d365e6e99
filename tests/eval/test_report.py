import csv
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from eval.clusters import scores
from eval.comparison import COLUMNS, gap_fmr, gap_recovered, markdown, summary, tabulate
from eval.ijb import ijb
from eval.plots import BOUNDS, PALETTE, styles
from eval.report import compare
from eval.runs import Run, command_line, load_runs
from facerec.artifacts import InputError, write_json

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


def made_up(name, fnmr, quality=None, false_matches=1000, genuine=1000):
    """A run with an FNMR that is the same at all rates, out of thin air."""
    points = ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
    matches = {f: int(false_matches * float(f) * 1000) for f in points}
    counts = {
        "genuine_pairs": genuine,
        "impostor_pairs": 10**6,
        "verification": {
            f: {"false_non_matches": round(fnmr * genuine), "false_matches": matches[f], "supported": f != "1e-4"}
            for f in points
        },
    }
    metrics = {
        "fnmr_at_fmr": dict.fromkeys(points, fnmr),
        "fnir_at_fpir": {"1e-1": fnmr, "1e-2": fnmr},
        "rank1": 1 - fnmr,
    }
    clusters = None if quality is None else dict.fromkeys(("pairwise_f", "bcubed_f", "nmi", "purity"), quality)
    metas = {"clusters": {"seconds": 2.0, "peak_memory_bytes": 3 << 20}} if quality else {}
    return Run(name, {**metrics, "counts": counts}, [], [], clusters, clusters, metas, None)


FOUR = [
    made_up("labelled", 0.4),
    made_up("alpha", 0.3, 0.8),
    made_up("beta", 0.25, 0.9),
    made_up("supervised", 0.2),
]


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """Four rows as a recipe leaves them, with more and less noise."""
    clean, rng = np.load(tiny / "embeddings" / "embeddings.npy"), np.random.default_rng(0)
    root = tmp_path_factory.mktemp("finished")
    for name, noise in [("supervised", 0.01), ("alpha", 0.8), ("beta", 0.3), ("labelled", 1.5)]:
        folder = root / name
        folder.mkdir(parents=True)
        np.save(folder / "test.npy", (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32))
        ijb(protocol=tiny / "protocol", embeddings=folder / "test.npy", out=folder / "ijb")
        if name not in BOUNDS:
            truth, predicted = np.repeat([0, 1, 2], 4), np.repeat([0, 1, 2, -1], 3)
            write_json(folder / "clusters.json", scores(truth, predicted))
            write_json(folder / "pseudo.json", scores(truth, np.where(predicted == 2, -1, predicted)))
            meta = {"command": "clustering cluster", "config": {"k": 5}, "inputs": {}, "versions": {"sundial": "1.2.3"}}
            (folder / "clusters").mkdir()
            times = {"seconds": 12.5, "peak_memory_bytes": 64 << 20, "finished": "2020-01-01"}
            write_json(folder / "clusters" / "meta.json", {**meta, **times})
            (folder / "sheet.png").write_bytes(PIXEL)
    return root


@pytest.fixture
def rows(finished, tmp_path):
    root = shutil.copytree(finished, tmp_path / "rows")
    return [root / name for name in ("supervised", "alpha", "beta", "labelled")]


class Links(HTMLParser):
    """Everything a page would fetch, and its open tags."""

    def __init__(self):
        super().__init__()
        self.fetched, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_whole_and_stands_alone(rows, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("knn:\n  k: 5 # <b>five</b>\n")
    out = compare(runs=rows, out=tmp_path / "report", recipe=recipe, title="Rows & columns")
    page = (out / "report.html").read_text()
    links = Links()
    links.feed(page)
    links.close()
    assert links.open == []
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links.fetched)
    assert sum(link.startswith("data:") for link in links.fetched) == 2
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert "Rows &amp; columns" in page
    assert "k: 5 # &lt;b&gt;five&lt;/b&gt;" in page
    assert "python -m clustering cluster --k 5 --out clusters" in page
    assert "sundial&nbsp;1.2.3" in page
    assert page.count("<svg") == 2
    for name in ("det.png", "iet.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_tables_hold_the_figures_of_the_runs(rows, tmp_path):
    out = compare(runs=rows, out=tmp_path / "report")
    with (out / "comparison.csv").open() as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["labelled", "alpha", "beta", "supervised"]
    for folder in rows:
        metrics = json.loads((folder / "ijb" / "metrics.json").read_text())
        line = lines[folder.name]
        assert float(line["fnmr@1e-2"]) == metrics["fnmr_at_fmr"]["1e-2"]
        assert float(line["fnir@1e-1"]) == metrics["fnir_at_fpir"]["1e-1"]
        assert float(line["rank1"]) == metrics["rank1"]
    assert (lines["beta"]["clusters"], lines["beta"]["identities"], lines["beta"]["faces_used"]) == ("3", "3", "6")
    assert (float(lines["beta"]["seconds"]), float(lines["beta"]["memory_mib"])) == (12.5, 64)
    assert lines["labelled"]["pairwise_f"] == lines["labelled"]["seconds"] == ""
    everything = json.loads((out / "metrics.json").read_text())
    assert everything["beta"]["pseudo_labels"]["assigned"] == 6
    assert everything["labelled"]["clusters"] is None


def test_bare_reports_can_be_compared(rows, tmp_path):
    out = compare(runs=[rows[0] / "ijb"], out=tmp_path / "report")
    assert list(json.loads((out / "metrics.json").read_text())) == ["ijb"]


def test_the_report_is_the_same_again(rows, tmp_path):
    pages = [compare(runs=rows, out=tmp_path / name) / "report.html" for name in ("a", "b")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_gap_is_measured_where_there_are_errors_enough():
    assert gap_fmr(FOUR) == "1e-4"
    assert gap_fmr([made_up("a", 0.3, false_matches=10)]) == "1e-2"
    assert gap_fmr([made_up("a", 0.3), made_up("b", 0.001)]) == "1e-2"  # one genuine error: none will do
    fnmr = {"labelled": 0.4, "alpha": 0.3, "supervised": 0.2}
    assert gap_recovered(fnmr, "alpha") == pytest.approx(0.5)
    assert gap_recovered(fnmr, "labelled") == 0
    assert gap_recovered(fnmr, "supervised") == 1
    assert gap_recovered({**fnmr, "supervised": 0.4}, "alpha") is None
    assert gap_recovered({"alpha": 0.3}, "alpha") is None


def test_the_best_backend_is_bold_and_the_bounds_never_are():
    table = tabulate(FOUR)
    column = next(column for column in COLUMNS if column.key == "fnmr@1e-2")
    assert [table.is_best(index, column) for index in range(4)] == [False, False, True, False]
    lines = markdown(table).splitlines()
    assert "1:1 FNMR@1e-2 %" in lines[0]
    assert "| **25.00** |" in lines[4]
    assert "| 40.00† |" in lines[2]
    assert "**" not in lines[2] + lines[5]
    alone = tabulate([FOUR[0], FOUR[1]])
    assert not any(alone.is_best(1, column) for column in COLUMNS)


def test_summary_says_what_the_numbers_say():
    text = summary(tabulate(FOUR))
    assert "Of 2 backends, beta makes the best pseudo-labels: FNMR 25.00 % at FMR 1e-4" in text
    assert "against 40.00 % with the labelled faces alone and 20.00 % with every true label: 75 % of the gap" in text
    assert "The next, alpha, rejects 50 more of the 1,000 genuine pairs." in text
    assert "Its clusters are also the truest (BCubed F 0.900)." in text
    close = summary(tabulate([*FOUR[:3], made_up("gamma", 0.26, 0.5), FOUR[3]]))
    assert "gamma, rejects 10 more of the 1,000 genuine pairs, a difference that chance alone can make." in close
    other = summary(tabulate([*FOUR[:3], made_up("gamma", 0.5, 0.95), made_up("supervised", 0.6)]))
    assert "True labels do not help here" in other
    assert "The truest clusters are those of gamma (BCubed F 0.950 against 0.900)." in other
    assert summary(tabulate([made_up("supervised", 0.1)])) == "FNMR at FMR 1e-4: supervised 10.00 %."


def test_colours_are_distinct_and_bounds_have_their_own():
    names = ["labelled", *(f"b{i}" for i in range(9)), "supervised"]
    chosen = styles(names)
    assert list(chosen) == names
    assert len({(colour, str(dashes)) for colour, dashes, _ in chosen.values()}) == len(names)
    assert chosen["b0"][0] == PALETTE[0]
    assert {chosen[name][0] for name in BOUNDS} == set(BOUNDS.values())


def test_commands_are_written_for_the_shell():
    meta = {
        "command": "clustering knn",
        "config": {"k": 10, "model": None, "exact": True},
        "inputs": {"embeddings": {"path": "my faces", "hash": "0"}, "runs": [{"path": "a", "hash": "0"}]},
    }
    expected = "python -m clustering knn --embeddings 'my faces' --runs '[a]' --k 10 --exact true --out knn"
    assert command_line(meta, "knn") == expected


def remove(name):
    return lambda row: (row / name).unlink()


def overwrite(name, text):
    return lambda row: (row / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("ijb/metrics.json"), "no ijb/metrics.json"),
        (overwrite("ijb/metrics.json", "{"), "metrics.json: not readable as JSON"),
        (overwrite("ijb/metrics.json", "{}"), "not a report of"),
        (remove("ijb/det.csv"), "det.csv: no such file"),
        (overwrite("ijb/iet.csv", "fpir,other\n1,2\n"), "iet.csv: not a curve with columns fpir and fnir_mean"),
        (overwrite("ijb/det.csv", "fmr,fnmr\n1,x\n"), "det.csv: not a curve"),
        (overwrite("clusters.json", "[1]"), "clusters.json: not written by"),
        (overwrite("pseudo.json", ""), "pseudo.json: not readable as JSON"),
    ],
)
def test_bad_rows_are_refused_and_leave_nothing(rows, tmp_path, damage, message):
    damage(rows[2])
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        compare(runs=rows, out=tmp_path / "report")
    assert set(tmp_path.iterdir()) == before


def test_rows_that_cannot_stand_together_are_refused(rows, tmp_path):
    with pytest.raises(InputError, match="an empty list"):
        load_runs([])
    with pytest.raises(InputError, match="a second run of the name 'ijb'"):
        load_runs([rows[0] / "ijb", rows[1] / "ijb"])
    with pytest.raises(InputError, match="nowhere: no such file"):
        compare(runs=[tmp_path / "nowhere"], out=tmp_path / "report")
    metrics = json.loads((rows[1] / "ijb" / "metrics.json").read_text())
    metrics["counts"]["genuine_pairs"] = 7
    write_json(rows[1] / "ijb" / "metrics.json", metrics)
    with pytest.raises(
        InputError, match="7 genuine pairs in its test, 4 in that of .*compare runs on the same protocol"
    ):
        load_runs(rows)
