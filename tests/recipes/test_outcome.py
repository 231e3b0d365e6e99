"""What a recipe prints at its end."""

import json

from outcome import outcome


def test_columns_without_figures_are_left_out(tmp_path):
    (tmp_path / "comparison.csv").write_text(
        "row,pairwise_f,bcubed_f,purity,fnmr@1e-3,fnmr@1e-4,fnir@1e-1,gap_recovered,rank1,fnmr_sd,group\n"
        "labelled,,,,0.214,,0.238,,0.9,,b\n"
        "hilander,0.7741,0.803,0.982,0.174,,0.205,0.533,0.95,0.009,ab\n"
    )
    (tmp_path / "meta.json").write_text(json.dumps({"results": {"summary": "They differ.", "fmr": "1e-3"}}))
    assert outcome(tmp_path).splitlines() == [
        "     row     Fp     Fb  purity, %  FNMR@FMR 1e-3, %  group  FNIR@FPIR 1e-1, %  gap recovered, %",
        "labelled                                       21.4      b               23.8                  ",
        "hilander  0.774  0.803       98.2         17.4 ±0.9     ab               20.5              53.3",
        "",
        "They differ.",
        f"Open {tmp_path}/report.html",
    ]
