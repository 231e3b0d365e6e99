import base64
import copy
import csv
import dataclasses
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_hex

from eval.clusters import scores
from eval.clusters.identities import sizes
from eval.commands.compare import compare
from eval.commands.ijb import ijb
from eval.comparison.page import command_line
from eval.comparison.paired import all_differences, compared, why_not_comparable
from eval.comparison.runs import Run, load_runs
from eval.comparison.summary import findings, summary
from eval.comparison.table import COLUMNS, gap_fmr, gap_recovered, tabulate
from eval.comparison.table_files import latex, markdown
from eval.report.plots import BOUND_COLOURS, PALETTE, as_svg, plot_det, styles
from facerec.pipeline.files import InputError, write_json

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


def resampled(run, samples):
    """The run with these bootstrap samples, [draws] or [trainings, draws], of FNMR at all rates."""
    samples = np.atleast_2d(samples)
    intervals = {"samples": samples.shape[1], "seed": 0}
    figures = {f"fnmr@{f}": samples for f in run.metrics["fnmr_at_fmr"]}
    return dataclasses.replace(run, metrics={**run.metrics, "intervals": intervals}, samples=figures)


def trained(name, values, shared):
    """A run of several trainings with these FNMR, whose samples go up and down together."""
    runs = [made_up(name, value) for value in values]
    mean = made_up(name, float(np.mean(values)))
    samples = np.array(values)[:, None] + shared
    return dataclasses.replace(resampled(mean, samples), trainings=[run.metrics for run in runs])


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
        if name not in BOUND_COLOURS:
            truth, predicted = np.repeat([0, 1, 2], 4), np.repeat([0, 1, 2, -1], 3)
            write_json(folder / "clusters.json", {**scores(truth, predicted), "sizes": sizes(truth, predicted)})
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
    assert not re.search(r"url\((?!#)|@import", page)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"&#39;sha256-{digest}&#39;" for digest in digests)
    assert f'script-src {allowed}"' in page  # no other script can run
    assert "Rows &amp; columns" in page
    assert "k: 5 # &lt;b&gt;five&lt;/b&gt;" in page
    assert "python -m clustering cluster --k 5 --out clusters" in page
    assert "sundial&nbsp;1.2.3" in page
    assert page.count("<svg") == 2 + 4 + 2  # curves, scores of four rows, sizes of two clusterings
    assert page.count('<script type="application/json">') == 8
    for name in ("det.png", "iet.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_the_terminal_has_the_headline_and_the_folder_all_of_it(rows, tmp_path, caplog):
    with caplog.at_level("INFO"):
        out = compare(runs=rows, out=tmp_path / "report")
    results = json.loads((out / "meta.json").read_text())["results"]
    assert f"{out}: {results['headline'].rstrip('.')}; done in" in caplog.text
    assert results["summary"].startswith(f"{results['headline']} ")
    assert results["summary"] not in caplog.text


def test_page_shows_what_the_runs_have(rows, tmp_path):
    (rows[1] / "review").mkdir()
    (rows[1] / "review" / "review.html").touch()
    (rows[2] / "ijb" / "scores.csv").unlink()
    out = compare(runs=rows, out=tmp_path / "of rows" / "report")
    page = (out / "report.html").read_text()
    (link,) = re.findall(r'<a href="([^"]*)">review page of alpha</a>', page)
    assert (out / link).resolve() == (rows[1] / "review" / "review.html").resolve()
    det, iet, *small = [json.loads(text) for text in re.findall(r'"application/json">(.*?)</script>', page)]
    assert [[each["name"] for each in plot["series"]] for plot in small] == [["genuine", "impostor"]] * 3 + [
        ["identities", "clusters"]
    ] * 2
    run = load_runs(rows)[1]
    (series,) = [each for each in det["series"] if each["name"] == "alpha"]
    for (fmr, fnmr), threshold in zip(run.det, run.thresholds.values(), strict=True):
        place = det["heads"].index(f"FMR {fmr:.4g}")
        at = f", threshold {threshold:.3f}" if fmr < 1 else ""  # at FMR 1 every pair matches
        assert series["texts"][place] == f"{100 * fnmr:.2f} %{at}"
    assert {len(each["ys"]) for each in det["series"]} == {len(det["xs"])} == {len(det["heads"])}
    assert iet["heads"][-2].startswith("FPIR ")
    (fpir, fnir), those = run.iet[-2], run.search_thresholds[run.iet[-2][0]]
    (series,) = [each for each in iet["series"] if each["name"] == "alpha"]
    assert series["texts"][iet["heads"].index(f"FPIR {fpir:.4g}")] == (
        f"{100 * fnir:.2f} %, thresholds {those[0]:.3f} and {those[1]:.3f}"
    )
    assert [each["texts"] for each in small[-1]["series"]] == [["0", "0", "3"], ["0", "0", "3"]]  # 1, 2, 3 to 4 faces
    alone = tabulate(load_runs([rows[0] / "ijb"]))
    assert {column.group for column in alone.columns} == {"1:1 FNMR at FMR", "1:N FNIR at FPIR", "1:N"}
    assert "purity" not in markdown(alone)


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


def test_a_row_of_another_name_is_other_work(rows, tmp_path):
    out = compare(runs=rows, out=tmp_path / "report")
    renamed = [*rows[:-1], rows[-1].rename(rows[-1].with_name("other"))]
    with pytest.raises(InputError, match="holds other work than what was asked .inputs.runs .*other"):
        compare(runs=renamed, out=out)


def test_gap_is_measured_where_there_are_errors_enough():
    assert gap_fmr(FOUR) == "1e-4"
    assert gap_fmr([made_up("a", 0.3, false_matches=10)]) == "1e-2"
    assert gap_fmr([made_up("a", 0.3), made_up("b", 0.001)]) == "1e-2"  # one genuine error: none will do
    other = copy.deepcopy(made_up("a", 0.3))  # eval folder has the rate of --fmr as well
    for rates in (other.metrics["fnmr_at_fmr"], other.metrics["counts"]["verification"]):
        rates["3e-5"] = rates["1e-4"]
    assert gap_fmr([other, made_up("b", 0.3)]) == "1e-4"
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
    lines = markdown(table).splitlines()[2:]  # what is established stands above
    assert "1:1 FNMR@1e-2 %" in lines[0]
    assert "| **25.00** |" in lines[4]
    assert "| 40.00† |" in lines[2]
    assert "**" not in lines[2] + lines[5]
    alone = tabulate([FOUR[0], FOUR[1]])
    assert not any(alone.is_best(1, column) for column in COLUMNS)


def test_summary_says_what_the_numbers_say():
    said = findings(tabulate(FOUR))
    assert said == [
        "FNMR at FMR 1e-4: beta (25.00 %) and alpha (30.00 %). Which of them differ is unknown: "
        "labelled has no bootstrap samples (python -m eval ijb --bootstrap 1000).",
        "Labelled only has an FNMR of 40.00 %.",
        "Fully supervised has an FNMR of 20.00 %.",
        "The backends close 50 to 75 % of the gap between labelled only and fully supervised.",
        "beta has the most accurate clusters (BCubed F 0.900).",
    ]
    assert summary(tabulate(FOUR)) == " ".join(said)
    other = summary(tabulate([*FOUR[:3], made_up("gamma", 0.5, 0.95), made_up("supervised", 0.6)]))
    assert "True labels do not help here" in other
    assert "gamma has the most accurate clusters (BCubed F 0.950; beta: 0.900)." in other
    alike = summary(tabulate([*FOUR, made_up("gamma", 0.5, 0.9004)]))
    assert "beta and gamma have the most accurate clusters (BCubed F 0.900)." in alike
    assert summary(tabulate([made_up("supervised", 0.1)])) == "FNMR at FMR 1e-4: fully supervised 10.00 %."


def noisy(name, fnmr, shared, seed):
    """A run whose FNMR goes up and down with that of others on the same subjects, and a little on its own."""
    return resampled(made_up(name, fnmr, 0.5), fnmr + shared + 0.004 * np.random.default_rng(seed).standard_normal(500))


def test_the_headline_says_what_is_established():
    shared = 0.05 * np.random.default_rng(0).standard_normal(500)
    runs = {
        name: noisy(name, fnmr, shared, seed)
        for seed, (name, fnmr) in enumerate(
            {"labelled": 0.4, "a": 0.25, "b": 0.252, "c": 0.3, "d": 0.401, "supervised": 0.2}.items()
        )
    }

    def of(*names):
        return findings(tabulate([runs[name] for name in names]))

    assert of("a", "c")[0] == "At FMR 1e-4 a (25.00 %) is better than c (30.00 %)."
    assert of("a", "b")[0] == "a (25.00 %) and b (25.20 %) cannot be told apart at FMR 1e-4."
    assert of("a", "b", "c")[0] == (
        "At FMR 1e-4 a (25.00 %) and b (25.20 %) are better than c (30.00 %). a and b cannot be told apart."
    )
    assert of("labelled", "a", "b", "supervised")[1:4] == [
        "Both backends are significantly better than labelled only (40.00 %).",
        "Both backends are significantly worse than fully supervised (20.00 %).",
        "The backends close 74 to 75 % of the gap between labelled only and fully supervised.",
    ]
    runs["f"] = noisy("f", 0.2505, shared, 10)
    assert of("labelled", "a", "f", "supervised")[3].startswith("The backends close 75 % of the gap")
    assert of("labelled", "c", "d")[1] == (
        "c is significantly better than labelled only (40.00 %); d does not differ significantly from it."
    )
    runs["e"] = noisy("e", 0.3998, shared, 8)
    assert of("labelled", "d", "e")[1] == "Neither backend differs significantly from labelled only (40.00 %)."
    runs["supervised"] = noisy("supervised", 0.3995, shared, 9)
    assert of("labelled", "a", "b", "supervised")[3].startswith("The bounds do not differ significantly")


def test_intervals_and_differences_are_written(rows, tiny, tmp_path):
    for row in rows:
        shutil.rmtree(row / "ijb")
        ijb(protocol=tiny / "protocol", embeddings=row / "test.npy", out=row / "ijb", bootstrap=300)
    out = compare(runs=rows, out=tmp_path / "report")
    with (out / "differences.csv").open() as file:
        lines = {(line["figure"], line["row"], line["other"]): line for line in csv.DictReader(file)}
    runs = {run.name: run for run in load_runs(rows)}
    line = lines["fnmr@1e-2", "labelled", "supervised"]
    figures = [runs[name].metrics["fnmr_at_fmr"]["1e-2"] for name in ("labelled", "supervised")]
    assert float(line["difference"]) == figures[0] - figures[1]
    samples = np.stack([run.samples["fnmr@1e-2"][0] for run in runs.values()])
    samples = samples[:, ~np.isnan(samples).any(axis=0)]
    half = 1.959964 * np.std(samples[0] - samples[-1], ddof=1)
    assert [float(line["low"]), float(line["high"])] == pytest.approx(
        [float(line["difference"]) - half, float(line["difference"]) + half]
    )
    assert float(line["p_holm"]) >= float(line["p"])
    with (out / "intervals.csv").open() as file:
        values = {(line["row"], line["figure"]): float(line["value"]) for line in csv.DictReader(file)}
    for gallery in ("G1", "G2"):
        fnir = runs["alpha"].metrics["fnir_at_fpir_per_gallery"][gallery]["1e-2"]
        assert values["alpha", f"fnir@1e-2/{gallery}"] == fnir
    page, text = (out / "report.html").read_text(), (out / "comparison.md").read_text()
    assert not re.search("<th[^>]*></th>", page)
    assert "<h2>What is established</h2>" in page
    assert page.count("┃") >= 4
    assert "| 95 % interval | p (Holm) | verdict |" in text
    np.save(rows[0] / "ijb" / "bootstrap.npy", np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"bootstrap.npy: shape \[1, 2\]; metrics.json says \d+ figures"):
        load_runs(rows)


def test_bands_are_drawn_in_the_colour_of_their_row(tmp_path):
    curves = {name: [(1e-3, 0.4), (1e-1, 0.1)] for name in ("hilander", "dbscan")}
    bands = {"hilander": [(1e-3, 0.3, 0.5), (1e-1, 0.05, 0.2)]}
    figure = plot_det(curves, tmp_path / "det.png", bands)
    (tint,) = figure.axes[0].collections
    assert to_hex(tint.get_facecolor()[0][:3]).upper() == PALETTE[0]
    assert "<svg" in as_svg(figure, "det")


def test_only_samples_of_the_same_subjects_are_compared():
    one, two = (resampled(made_up(name, 0.3), np.linspace(0.2, 0.4, 100)) for name in ("a", "b"))
    assert why_not_comparable(one, two) == ""
    assert "no bootstrap samples" in why_not_comparable(one, made_up("c", 0.2))
    other = dataclasses.replace(two, metrics={**two.metrics, "intervals": {"samples": 100, "seed": 1}})
    assert why_not_comparable(one, other) == "seed 0 in a and 1 in b"
    assert compared([one, other], "fnmr@1e-2") is None
    moved = dataclasses.replace(two, metas={"ijb": {"inputs": {"protocol": {"hash": "x"}}}})
    assert why_not_comparable(one, moved) == "a and b were evaluated on different protocols"
    few = [resampled(run, np.linspace(0.2, 0.4, 9)) for run in (one, two)]
    assert why_not_comparable(*few) == "9 bootstrap samples are fewer than 100"


def test_trainings_decide_what_is_established():
    shared = 0.001 * np.random.default_rng(0).standard_normal(200)
    runs = [trained("a", [0.20, 0.23, 0.26], shared), trained("b", [0.25, 0.22, 0.28], shared),
            trained("c", [0.40, 0.43, 0.41], shared)]  # fmt: skip
    table = tabulate(runs)
    said = findings(table)
    assert said[0] == (
        "At FMR 1e-4 a (23.00 %) and b (25.00 %) are better than c (41.33 %). a and b cannot be told apart."
    )
    assert said[1].startswith("3 trainings a row vary by 2.4 points (standard deviation). A difference of ")
    assert "points is found in four of five such comparisons. A difference of 1 point needs" in said[1]
    wide = tabulate([trained("a", [0.1, 0.7, 0.4], shared), trained("b", [0.6, 0.2, 0.3], shared)])
    assert findings(wide)[1].endswith("A difference of 1 point needs more than 1000 trainings a row.")
    assert table.text(0, next(column for column in COLUMNS if column.key == "fnmr@1e-4")) == "23.00 ±3.00†"
    single = dataclasses.replace(runs[0], name="short", trainings=[])
    assert findings(tabulate([*runs, single]))[0].endswith("Not compared, because of fewer trainings: short (23.00 %).")
    first = [resampled(made_up(run.name, run.values("fnmr@1e-4")[0]), run.samples["fnmr@1e-4"][0]) for run in runs]
    assert compared(first, "fnmr@1e-4").differs("a", "b")
    assert not compared(first, "fnmr@1e-4", training_sd=0.03).differs("a", "b")
    assert findings(tabulate(first))[1].startswith("One training a row: this is about these very recognisers.")
    assumed = "Each row has one training; trainings vary by an assumed 3.0 points (standard deviation). A difference"
    assert findings(tabulate(first, 0.03))[1].startswith(assumed)


def test_rows_with_fewer_trainings_are_left_out_and_said():
    shared = 0.001 * np.random.default_rng(0).standard_normal(200)
    a, b, bound = (trained(name, [x, x + 0.01], shared) for name, x in (("a", 0.2), ("b", 0.21), ("labelled", 0.6)))
    short, once = (
        dataclasses.replace(run, name=name, trainings=[]) for run, name in ((a, "short"), (bound, "labelled"))
    )
    said = findings(tabulate([bound, a, b, short]))
    assert said[:2] == [
        "At FMR 1e-4 a (20.50 %) is better than b (21.50 %). "
        "Not compared, because of fewer trainings: short (20.50 %).",
        "a and b are significantly better than labelled only (60.50 %).",
    ]
    said = findings(tabulate([once, a, b]))
    assert said[1] == "Labelled only has an FNMR of 60.50 %, and is not compared, because of fewer trainings."
    unsampled = dataclasses.replace(once, samples={})
    differences = all_differences([unsampled, a, b], 0.0)
    assert {(each.run, each.other) for each in differences} == {("a", "b")}
    assert [each.figure for each in differences] == list(a.samples)


def test_groups_that_overlap_are_all_named():
    rng = np.random.default_rng(0)
    names = {"a": 0.25, "b": 0.256, "c": 0.262}
    runs = [resampled(made_up(name, fnmr), fnmr + 0.003 * rng.standard_normal(500)) for name, fnmr in names.items()]
    table = tabulate(runs)
    assert findings(table)[0] == (
        "At FMR 1e-4 a (25.00 %) is better than c (26.20 %). a and b cannot be told apart. "
        "b and c cannot be told apart."
    )
    assert [table.compared.letters(name) for name in "abc"] == ["a", "ab", "b"]
    bars = [line for line in markdown(table).splitlines() if line.startswith("| b |")]
    assert bars[0] == "| b | 25.60† | ab |"


def test_further_trainings_are_read_and_must_have_the_same_test(rows, tiny, tmp_path):
    for row, noise in ((rows[0], 0.2), (rows[1], 0.4)):
        embeddings = np.load(row / "test.npy")
        np.save(row / "again.npy", embeddings + np.float32(noise) * np.roll(embeddings, 1, axis=1))
        ijb(protocol=tiny / "protocol", embeddings=row / "again.npy", out=row / "seeds" / "1" / "ijb")
    runs = {run.name: run for run in load_runs(rows[:2])}
    found = runs["supervised"].values("rank1")
    assert runs["supervised"].count == 2
    assert runs["supervised"].metrics["rank1"] == found.mean()
    out = compare(runs=rows[:2], out=tmp_path / "report")
    with (out / "comparison.csv").open() as file:
        assert [line["trainings"] for line in csv.DictReader(file)] == ["2", "2"]
    assert "± is the standard deviation over 2 trainings" in (out / "report.html").read_text()
    shutil.rmtree(rows[0] / "seeds" / "1" / "ijb")
    with pytest.raises(InputError, match=r"seeds/1: no ijb/metrics.json"):
        load_runs(rows[:2])
    ijb(protocol=tiny / "protocol", embeddings=rows[0] / "again.npy", out=rows[0] / "seeds" / "1" / "ijb", bootstrap=20)
    with pytest.raises(InputError, match="other bootstrap samples than in"):
        load_runs(rows[:2])


def test_a_mean_over_trainings_has_its_own_interval(rows, tiny, tmp_path):
    for row, noise in ((rows[0], 0.2), (rows[1], 0.4)):
        embeddings = np.load(row / "test.npy")
        np.save(row / "again.npy", embeddings + np.float32(noise) * np.roll(embeddings, 1, axis=1))
        shutil.rmtree(row / "ijb")
        for name, place in (("test", row), ("again", row / "seeds" / "1")):
            ijb(protocol=tiny / "protocol", embeddings=row / f"{name}.npy", out=place / "ijb", bootstrap=100)
    out = compare(runs=rows[:2], out=tmp_path / "report")
    with (out / "intervals.csv").open() as file:
        ends = {(line["row"], line["figure"]): [line["low"], line["high"]] for line in csv.DictReader(file)}
    for name, metrics in json.loads((out / "metrics.json").read_text()).items():
        found = metrics["ijb"]["intervals"]
        assert list(map(str, found["fnmr_at_fmr"]["1e-1"])) == ends[name, "fnmr@1e-1"]
        assert list(map(str, found["fnir_at_fpir_per_gallery"]["G2"]["1e-1"])) == ends[name, "fnir@1e-1/G2"]
        assert list(map(str, found["rank1"])) == ends[name, "rank1"]


def test_the_table_for_a_paper():
    table = tabulate([FOUR[0], made_up("gcn_v", 0.3, 0.8), FOUR[2]])
    lines = latex(table).splitlines()
    assert [column.key for column in COLUMNS if column not in table.columns] == [
        "clusters",
        "identities",
        "faces_used",
        "gap_recovered",
        "steps",
        "trainings",
    ]
    assert lines[0] == r"\begin{tabular}{l" + "r" * len(table.columns) + "}"
    assert lines[2].startswith(r"row & Clusters Fp & ")
    assert r"1:1 FNMR@1e-2 \%" in lines[2]
    assert lines[5].startswith(r"gcn\_v & 0.800 &")
    assert r"\textbf{0.900}" in lines[6]
    assert r"40.00\dag" in lines[4]
    assert all(line.endswith(r"\\") for line in lines[4:7])


def test_figures_on_few_errors_are_marked():
    run = made_up("alpha", 0.001)
    few = dataclasses.replace(run, metrics={**run.metrics, "few_errors": ["fnmr@1e-3", "fnir@1e-2/G1"]})
    table = tabulate([few])
    texts = {column.key: table.text(0, column) for column in COLUMNS}
    assert (texts["fnmr@1e-3"], texts["fnir@1e-2"], texts["fnmr@1e-2"]) == ("0.10‡", "0.10‡", "0.10")


def test_errors_of_every_training_count():
    """The second training has one genuine error, and says so; the first has errors enough."""
    run = trained("alpha", [0.3, 0.001], np.zeros(100))
    assert gap_fmr([made_up("a", 0.3)]) == gap_fmr([dataclasses.replace(run, trainings=run.trainings[:1])]) == "1e-4"
    assert gap_fmr([run]) == "1e-2"
    run.trainings[1]["few_errors"] = ["fnmr@1e-3"]
    table = tabulate([run])
    assert [column.heading for column in table.columns if "‡" in table.text(0, column)] == ["1e-3"]


def test_the_table_for_a_readme_says_what_its_marks_mean():
    alone = markdown(tabulate(FOUR))
    assert "Bold: the best number of a backend in a column" in alone
    assert "† Too few impostor pairs for even one error at this rate" in alone
    assert "‡" not in alone
    assert "±" not in alone
    run = trained("alpha", [0.3, 0.2], np.zeros(100))
    run.trainings[0]["few_errors"] = ["rank1/G1"]
    several = markdown(tabulate([run]))
    assert "± is the standard deviation over 2 trainings. † Too few" in several
    assert "‡ The figure rests on fewer than ten errors." in several
    assert "Bold" not in several


def test_colours_are_distinct_and_bounds_have_their_own():
    names = ["labelled", *(f"b{i}" for i in range(9)), "supervised"]
    chosen = styles(names)
    assert list(chosen) == names
    assert len({(colour, str(dashes)) for colour, dashes, _ in chosen.values()}) == len(names)
    for name in ("hilander", "dbscan", "b3"):  # by name: whoever else is in the plot, the colour stays
        assert styles([name]) == {name: styles(["labelled", name, "another", "kmeans"])[name]}
    assert styles(["Hi-LANDER"])["Hi-LANDER"] == styles(["hilander"])["hilander"]
    assert styles(["hilander"])["hilander"][0] == PALETTE[0]
    many = styles([f"{i}" for i in range(40)])
    assert len({(colour, str(dashes)) for colour, dashes, _ in many.values()}) == 28  # every style there is
    assert {chosen[name][0] for name in BOUND_COLOURS} == set(BOUND_COLOURS.values())


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


def test_rows_of_other_comparisons_are_refused_where_both_say_of_which(rows):
    file = rows[2] / "ijb" / "metrics.json"
    metrics = json.loads(file.read_text())
    write_json(file, metrics | {"comparisons": "of another protocol"})
    with pytest.raises(InputError, match=f"{rows[2]}: other templates were compared than in {rows[0]}"):
        load_runs(rows)
    write_json(file, {name: value for name, value in metrics.items() if name != "comparisons"})
    assert len(load_runs(rows)) == len(rows)


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


def test_templates_that_were_made_in_two_ways_are_told(rows, caplog):
    load_runs(rows)
    assert "two ways" not in caplog.text
    file = rows[1] / "ijb" / "metrics.json"
    metrics = json.loads(file.read_text())
    metrics["template"]["norm"] = "kept"
    file.write_text(json.dumps(metrics))
    load_runs(rows)
    assert f"{rows[1].name} and {rows[0].name}: templates were made in two ways: norm kept and removed" in caplog.text
