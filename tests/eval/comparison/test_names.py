"""Tables and plots show a run's name as it is, whatever is in it."""

import warnings

import pytest
from matplotlib.figure import Figure

from eval.comparison.table_files import _escaped, _plain
from eval.report import plots

ODD = ("_hidden", "$x^2$ and $", "a|b", "plain_name")


def test_legends_show_every_name(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.plot_det({name: [(0.01, 0.2), (0.1, 0.1)] for name in ODD}, tmp_path / "det.png")
    assert isinstance(figure, Figure)
    texts = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in texts] == list(ODD)
    assert not any(text.get_parse_math() for text in texts)
    svg = plots.as_svg(figure, "det")
    for name in ODD:
        assert name in svg


def test_the_legend_s_lines_are_the_names_own(tmp_path):
    figure = plots.plot_det({"none": [], "dbscan": [(0.01, 0.2)], "hilander": [(0.01, 0.1)]}, tmp_path / "det.png")
    legend = figure.axes[0].get_legend()
    styles = plots.styles(["none", "dbscan", "hilander"])
    shown = {
        text.get_text(): line.get_color() for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert shown == {name: styles[name][0] for name in ("dbscan", "hilander")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a|b", r"a\|b"),
        ("*b* `c`", r"\*b\* \`c\`"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](b)", r"\[a\](b)"),
        ("_a_b_", r"\_a_b\_"),
        ("hac_average", "hac_average"),
        ("a\nb", "a b"),
        ("\\", r"\\"),
    ],
)
def test_markdown_shows_a_name_as_it_is(name, text):
    assert _plain(name) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a_b & c#1", r"a\_b \& c\#1"),
        ("50 % of $x", r"50 \% of \$x"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a^b~c", r"a\textasciicircum{}b\textasciitilde{}c"),
    ],
)
def test_latex_shows_a_name_as_it_is(name, text):
    assert _escaped(name) == text
