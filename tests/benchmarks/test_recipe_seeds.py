"""Several runs of a recipe as one table."""

import pytest
import recipe_seeds
import yaml


def test_a_seed_goes_into_all_that_draws(tmp_path):
    (tmp_path / "c.yaml").write_text("corpus: {size: 40}\nknn: {k: 5}\n")
    found = yaml.safe_load(recipe_seeds.seeded(tmp_path / "c.yaml", 7, tmp_path / "7").read_text())
    assert found == {"corpus": {"size": 40, "seed": 7}, "knn": {"k": 5}, "train": {"seed": 7}, "tune": {"seed": 7}}


def test_the_gap_is_of_the_means_and_its_interval_of_the_seeds():
    def report(labelled: float, row: float, supervised: float) -> dict:
        rows = {"labelled": labelled, "hilander": row, "supervised": supervised}
        return {name: {"fnmr@1e-3": value} for name, value in rows.items()}

    lines = recipe_seeds.summarise([report(0.22, 0.18, 0.14), report(0.20, 0.15, 0.12)])  # shares 50 and 62.5
    assert lines[1]["fnmr@1e-3"] == "16.5 ±2.1"
    assert lines[1]["gap"] == "56 (-23 to 136)"  # 100 x 4.5 / 8; t of one degree of freedom is 12.7
    assert [line["group"] for line in lines] == ["c", "b", "a"]
    assert lines[1]["bcubed_f"] == ""


def test_a_report_is_read(tmp_path):
    (tmp_path / "comparison.csv").write_text("row,bcubed_f,fnmr@1e-3,rank1\nlabelled,,0.2,1\nhilander,0.8,0.1,1\n")
    found = recipe_seeds.read(tmp_path)
    assert found == {"labelled": {"fnmr@1e-3": 0.2}, "hilander": {"bcubed_f": 0.8, "fnmr@1e-3": 0.1}}
    assert found["hilander"]["fnmr@1e-3"] == pytest.approx(0.1)
