"""Files of a run that are JSON of other types than tables show."""

import json
import shutil

import numpy as np
import pytest

from eval.commands.clusters import clusters
from eval.commands.ijb import ijb
from eval.comparison.runs import load_runs
from facerec.pipeline.files import InputError


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    ijb(tiny / "protocol", tiny / "embeddings", folder / "ijb")
    np.save(folder / "labels.npy", np.arange(4) // 2)
    clusters(folder / "labels.npy", folder / "labels.npy", json=folder / "clusters.json")
    return folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def replaced(content, path, value):
    for name in path[:-1]:
        content = content[name]
    content[path[-1]] = value


def test_what_was_written_is_read(run):
    assert len(load_runs([run])) == 1


@pytest.mark.parametrize("whole", [None, [], 3, "x", {}])
@pytest.mark.parametrize("file", ["ijb/metrics.json", "ijb/meta.json", "clusters.json"])
def test_another_type_is_refused(run, file, whole):
    (run / file).write_text(json.dumps(whole))
    with pytest.raises(InputError, match=file.split("/")[-1]):
        load_runs([run])


@pytest.mark.parametrize("value", [None, [], {}, "x", True])
@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("ijb/metrics.json", ["rank1"]),
        ("ijb/metrics.json", ["fnmr_at_fmr", "1e-2"]),
        ("ijb/metrics.json", ["counts", "faces"]),
        ("ijb/metrics.json", ["counts", "empty_templates"]),
        ("ijb/metrics.json", ["counts", "identification", "G1", "subjects"]),
        ("ijb/metrics.json", ["counts", "verification", "1e-2"]),
        ("ijb/metrics.json", ["counts", "verification", "1e-2", "false_matches"]),
        ("ijb/metrics.json", ["counts", "identification", "G1"]),
        ("ijb/metrics.json", ["counts", "identification", "G1", "1e-1", "misses"]),
        ("ijb/meta.json", ["seconds"]),
        ("ijb/meta.json", ["versions", "numpy"]),
        ("ijb/meta.json", ["inputs", "protocol"]),
        ("clusters.json", ["purity"]),
        ("clusters.json", ["sizes"]),
    ],
)
def test_a_value_of_another_type_is_refused(run, file, path, value):
    if (path[-1], value) == ("numpy", "x"):
        return
    if path[0] in ("inputs", "sizes") and value == []:  # a list of none
        return
    content = json.loads((run / file).read_text())
    replaced(content, path, value)
    (run / file).write_text(json.dumps(content))
    with pytest.raises(InputError, match=file.split("/")[-1]):
        load_runs([run])


@pytest.mark.parametrize("value", [7, -0.1, float("nan")])
@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("ijb/metrics.json", ["fnmr_at_fmr", "1e-2"]),
        ("ijb/metrics.json", ["fnir_at_fpir", "1e-1"]),
        ("ijb/metrics.json", ["rank1"]),
        ("clusters.json", ["bcubed_f"]),
    ],
)
def test_a_share_that_is_none_is_refused(run, file, path, value):
    test_a_value_of_another_type_is_refused(run, file, path, value)


def test_a_field_longer_than_any_is_refused(run):
    (run / "ijb" / "det.csv").write_text("x" * 200_000 + "\n")
    with pytest.raises(InputError, match=r"det\.csv: not a curve"):
        load_runs([run])
