"""README and documentation: their links lead somewhere, their sentences are short, their tables are the results'."""

import importlib
import inspect
import re
from pathlib import Path

import command_pages
import pytest
import result_tables

ROOT = Path(__file__).resolve().parents[2]
DIARY = ROOT / "docs" / "lab"
PAGES = [ROOT / "README.md", ROOT / "recipes" / "RESULTS.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [page for page in PAGES if DIARY not in page.parents]
LINK = re.compile(r"(?<!`)\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
LONGEST, LONGEST_MEAN = 35, 18


def running_text(markdown: str) -> list[str]:
    """Sentences of Markdown without code, tables and headings."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", markdown, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not re.match(r"^( {4}|\t|\s*\||#|:::)", line)]
    blocks = re.split(r"\n\s*\n|\n(?=\s*[-*\d]+[.)]? )", "\n".join(lines))
    parts = [re.split(r"(?<=[.!?:;])\s+(?=[A-Z`*\d(])", " ".join(block.split())) for block in blocks]
    return [sentence for part in parts for sentence in part if len(sentence.split()) > 3]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"[\s]+", "-", heading) for heading in plain}


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PROSE, ids=name)
def test_no_sentence_is_long(page):
    long = [sentence for sentence in running_text(page.read_text(encoding="utf-8")) if len(sentence.split()) > LONGEST]
    assert long == []


def test_sentences_are_short_on_average():
    sentences = [sentence for page in PROSE for sentence in running_text(page.read_text(encoding="utf-8"))]
    assert sum(len(sentence.split()) for sentence in sentences) / len(sentences) <= LONGEST_MEAN


def test_how_sentences_are_counted():
    assert running_text("# A head\n\nOne two three four. Five six seven eight.\n\n    a line of code here\n") == [
        "One two three four.", "Five six seven eight.",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name(page)} leads to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name(page)} leads to {target}#{anchor}"


def test_the_readme_fits():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 130
    assert len(re.findall(r"!\[", readme)) == 1
    prose = re.sub(r"```.*?```|<!--.*?-->|`[^`]*`|\]\([^)]*\)", "", readme, flags=re.DOTALL)
    prose = "\n".join(line for line in prose.splitlines() if not line.startswith(("|", "    ")))
    assert len(re.findall(r"\d[\d.,]*", prose)) <= 12


@pytest.mark.parametrize("page", result_tables.pages())
def test_tables_are_those_of_the_results(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert result_tables.filled(text) == text, "run make tables"


@pytest.mark.parametrize("file", sorted((ROOT / "results").glob("*.json")), ids=lambda file: file.stem)
def test_results_say_where_they_come_from(file):
    results = result_tables.load(file.stem)
    assert {"command", "commit", "seeds", "source", "unit", "columns", "rows"} <= results.keys()
    source, _, anchor = results["source"].partition("#")
    assert not anchor or anchor in anchors(ROOT / source)
    used = [page for page in result_tables.pages() if f"<!-- table {file.stem} -->" in (ROOT / page).read_text()]
    assert used


def test_spread_and_gap():
    rows = [
        {"row": "labelled only", "x": [20, 30]},
        {"row": "a", "x": [15, 20]},
        {"row": "fully supervised", "x": [10, 10]},
    ]
    assert result_tables.spread([20, 30], 1) == "25.0 ±5.0"
    assert result_tables.spread([0.5, 0.7], 3) == ".600 ±.100"
    assert result_tables.gap({"rows": rows}, rows[1], "x") == "50 (50 to 50)"


@pytest.mark.parametrize("program", command_pages.PROGRAMS)
def test_command_pages_have_every_option(program):
    text = command_pages.page(program)
    for command, target in importlib.import_module(f"{program}.__main__").COMMANDS.items():
        section = text.split(f"\n## {command}\n")[1].split("\n## ")[0]
        module, _, function = target.partition(":")
        for parameter in inspect.signature(getattr(importlib.import_module(module), function)).parameters.values():
            assert re.search(
                rf"^\| `{command_pages.option(parameter)}` \| [^|]*[^| ]+[^|]* \| .* \| \S", section, re.MULTILINE
            )


def test_one_version_everywhere():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    for file, text in [
        ("README.md", f"This is version {version}."),
        ("CITATION.cff", f"\nversion: {version}\n"),
        ("CHANGELOG.md", f"\n## {version}\n"),
        ("docs/reference/model-card.md", f"version {version} "),
    ]:
        assert text in (ROOT / file).read_text(encoding="utf-8"), file
