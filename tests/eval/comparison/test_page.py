"""The report in a browser that opens it from disk."""

import pytest

from eval.commands.compare import compare
from eval.commands.ijb import ijb

PATIENCE = 60_000
"""Milliseconds that the browser may take for one thing on a busy machine."""


@pytest.fixture
def opened(tiny, tmp_path, browser):
    report = ijb(protocol=tiny / "protocol", embeddings=tiny / "embeddings", out=tmp_path / "a<b>")
    out = compare(runs=[report], out=tmp_path / "report")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(PATIENCE)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))  # of what the page's policy refuses, too
    page.goto((out / "report.html").as_uri())
    yield page
    context.close()
    assert wrong == []


def test_values_are_shown_beside_the_pointer_and_by_keys(opened):
    figure = opened.locator("figure.hover").first
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg").bounding_box()
    opened.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + box["height"] / 2)  # the right end of the axes
    assert figure.locator(".tip div").all_text_contents() == ["FMR 1", "a<b>: 0.00 %"]
    opened.mouse.move(1, 1)
    assert figure.locator(".tip").is_hidden()
    figure.focus()
    opened.keyboard.press("ArrowRight")
    first = figure.locator(".tip .head").text_content()
    opened.keyboard.press("ArrowRight")
    second = figure.locator(".tip .head").text_content()
    assert 0.2 <= float(first.removeprefix("FMR ")) < float(second.removeprefix("FMR ")) < 1
    opened.keyboard.press("Escape")
    assert figure.locator(".tip").is_hidden()


def test_a_phone_scrolls_tables_but_not_the_page(opened):
    assert opened.locator(".hint:visible").count() == 0
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.wait_for_selector(".wide.cut + .hint:visible")
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    table = opened.locator(".wide.cut").first
    heading = table.locator("tbody th").first
    before = heading.bounding_box()["x"]
    table.evaluate("node => { node.scrollLeft = 100; }")
    assert heading.bounding_box()["x"] == before  # the row's name stays
