"""Settings of backends on the command line: what help says, and --set."""

import pytest

from clustering.__main__ import COMMANDS
from clustering.backends.changed import with_changes
from clustering.backends.dbscan import Dbscan
from clustering.backends.describe import describe, help_of_backend, settings_of
from clustering.backends.registry import BACKENDS, backend
from facerec.pipeline.command_line import run
from facerec.pipeline.files import InputError


@pytest.mark.parametrize("name", BACKENDS)
def test_every_setting_that_tune_searches_is_described(name):
    found = {each.name: each for each in settings_of(name)}
    assert set(backend(name).search_space) <= set(found)
    assert all(each.text and each.allowed for each in found.values()), found
    assert not {"model", "confidence"} & set(found)


def test_the_text_of_a_backend():
    lines = describe("dbscan").splitlines()
    assert lines[:3] == [
        "settings of dbscan, for --set NAME=VALUE (without --model):",
        "  min_similarity=0.5  (number from -1 to 1; tune searches 0.2 to 0.9)",
        "      Radius of the neighbourhood, as a corrected cosine (1 - eps), see `CorpusScale`.",
    ]
    assert "  adaptive=true  (true or false)" in lines
    assert help_of_backend(["cluster", "--backend=dbscan"]) == help_of_backend(["--backend", "dbscan", "-h"])
    assert help_of_backend(["cluster", "--backend", "nope"]) == help_of_backend(["cluster"]) == ""


def test_help_of_a_backend_from_the_shell(capsys):
    target = "clustering.backends.describe:help_of_backend"
    with pytest.raises(SystemExit) as ended:
        run("clustering", COMMANDS, ["cluster", "--backend", "finch", "--help"], more_help=target)
    assert ended.value.code == 0
    assert "settings of finch" in capsys.readouterr().out


def test_changes():
    untuned = Dbscan.from_pretrained()
    assert with_changes(untuned, []) is untuned
    found = with_changes(untuned, ["min-similarity=0.7", "min_samples=3", "min_similarity=.6"])
    assert (found.min_similarity, found.min_samples, found.adaptive) == (0.6, 3, False)
    assert with_changes(untuned, ["k=5"]).adaptive
    assert with_changes(untuned, ["adaptive=true", "min_similarity=0.6"]).adaptive


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("min_similarity", "--set 'min_similarity': not a setting; expected NAME=VALUE"),
        ("min_similarity=[", "not a setting; expected NAME=VALUE"),
        ("min_similarity=2001-99-99", "not a setting; expected NAME=VALUE"),
        ("speed=3", "--set speed; dbscan has min_similarity, min_samples, k, adaptive"),
        ("min_similarity=2", "min_similarity is 2; it must be a number from -1 to 1"),
        ("min_samples=1.5", "min_samples is 1.5; it must be a whole number"),
    ],
)
def test_changes_that_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        with_changes(Dbscan(), [change])
