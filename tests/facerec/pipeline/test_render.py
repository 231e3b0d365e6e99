"""What all pages have in common."""

from facerec.pipeline.render import render

PAGE = """{% extends "page.html" %}{% from "parts.html" import wide %}{% block main %}
<details><summary>more</summary>{% call wide("Many") %}<table>
<tr>{% for name in names %}<th>{{ name }}</th>{% endfor %}</tr></table>{% endcall %}</details>
<figure><figcaption>{{ names[0] }}</figcaption></figure>{% endblock %}"""


def test_a_table_wider_than_the_screen_says_so_when_it_is_shown(browser, tmp_path):
    (tmp_path / "page.txt").write_text(PAGE, encoding="utf-8")
    text = render(tmp_path / "page.txt", title="<b>", names=["תמונה/1.jpg", *["a long heading"] * 20])
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() == "<b>"
    assert page.evaluate("getComputedStyle(document.querySelector('figcaption')).unicodeBidi") == "plaintext"
    assert page.locator(".hint:visible").count() == 0
    page.click("summary")
    page.wait_for_selector(".hint:visible")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()
