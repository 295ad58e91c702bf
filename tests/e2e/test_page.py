"""What the pages are like: without scripts, on a phone, in the dark, for a screen reader, against markup in texts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import pages
from tests.support.pages import SOON_MS, Person, Stage

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
_CONTRAST = Path(__file__).with_name("contrast.js").read_text()
_NAMES = Path(__file__).with_name("names.js").read_text()


def faults_of(page: Page) -> list[str]:
    """What a first look with a screen reader's eyes finds wrong."""
    return page.evaluate(_NAMES) + page.evaluate(_CONTRAST)


def test_the_whole_story_works_without_scripts(stage: Stage, browser: Browser) -> None:
    with pages.person(stage, browser, java_script_enabled=False) as someone:
        page = someone.page
        someone.signs_up("No scripts")
        someone.orders_credits()
        someone.pays("pay")
        someone.sees("1,000 credits added", seconds=30)
        page.get_by_role("link", name="Make a picture").click()
        page.get_by_label("What should be in it?").fill("a kite")
        page.locator(".segments label", has_text="Draft").click()
        page.get_by_role("button", name="Show the price").click()
        expect(page.locator("#price")).to_contain_text("0.55 credits")
        expect(page.get_by_label("What should be in it?")).to_have_value("a kite")
        page.get_by_role("button", name="Generate").click()
        expect(page.locator("article.job .tag")).to_have_text("Ready", timeout=SOON_MS)
        expect(page.locator("article.job .pictures img")).to_be_visible()
        someone.goes()
        expect(page.locator("#statement")).to_contain_text("Image paid")


def test_without_scripts_a_price_is_never_taken_that_was_not_shown(stage: Stage, browser: Browser) -> None:
    with pages.person(stage, browser, java_script_enabled=False) as someone:
        someone.signs_up()
        someone.is_given(10)
        someone.goes()
        someone.page.get_by_label("What should be in it?").fill("a kite")
        someone.page.locator(".segments label", has_text="High").click()
        someone.page.get_by_role("button", name="Generate").click()
        someone.sees("The price has changed. Press again to order at this one.")
        expect(someone.page.locator("#price")).to_contain_text("1.72 credits")
        someone.page.get_by_role("button", name="Generate").click()
        someone.sees("1.72 credits")
        assert re.search(r"/jobs/job_[0-9a-f]{32}$", someone.page.url)


def test_markup_in_names_and_prompts_is_shown_as_text(person: Person) -> None:
    person.signs_up(EVIL[:100])
    expect(person.page.locator(".who")).to_have_text(EVIL[:100])
    person.is_given(5)
    person.asks_for(EVIL)
    expect(person.page.locator("#curl-2")).to_contain_text("<script>")
    person.page.get_by_role("button", name="Generate").click()
    job = person.page.locator("article.job")
    expect(job.locator("h3")).to_have_text(EVIL)
    expect(job.locator(".tag")).to_have_text("Ready", timeout=SOON_MS)
    expect(job.locator(".pictures img")).to_have_attribute("alt", EVIL)
    person.goes()
    expect(person.page.locator("article.job h3")).to_have_text(EVIL)
    assert person.page.locator("main script, .who script, img[src=x]").count() == 0
    assert "owned" not in person.page.title()
    person.sees_no_complaint()


def test_a_script_that_got_in_would_not_run(person: Person) -> None:
    person.signs_up()
    person.page.evaluate(
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')"
    )
    person.page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'document.title = 2'; document.body.append(s)"
    )
    person.page.wait_for_timeout(300)
    assert person.page.title() == "Tallystick"
    assert any("Content Security Policy" in complaint for complaint in person.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [pages.PHONE, pages.DESK], ids=["phone", "desk"])
def test_every_page_fits_has_names_and_contrast(
    stage: Stage, browser: Browser, scheme: str, size: dict[str, int]
) -> None:
    with pages.person(stage, browser, color_scheme=scheme, viewport=size, reduced_motion="reduce") as someone:
        page = someone.page
        someone.goes()
        assert faults_of(page) == []
        someone.signs_up("Ada & Co")
        assert faults_of(page) == []
        someone.orders_credits()
        assert faults_of(page) == []
        page.get_by_role("link", name="on the sandbox's page").click()
        expect(page.locator("button[value=pay]")).to_be_visible()
        assert faults_of(page) == []
        page.locator("button[value=pay]").click()
        someone.sees("1,000 credits added")
        assert faults_of(page) == []
        someone.goes()
        someone.asks_for("a heron in the reeds, woodcut")
        page.get_by_role("button", name="Generate").click()
        expect(page.locator("article.job .tag")).to_have_text("Ready", timeout=SOON_MS)
        expect(page.locator("#statement tbody tr")).to_have_count(3, timeout=SOON_MS)
        page.locator("summary", has_text="More choices").click()
        page.locator("summary", has_text="What is spent first").click()
        assert faults_of(page) == []
        someone.sees_no_complaint()


def test_the_page_can_be_worked_by_keyboard_alone(person: Person) -> None:
    person.signs_up()
    person.is_given(5)
    person.goes()
    page = person.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("What should be in it?")).to_be_focused()
    page.keyboard.type("an owl")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#price strong")).to_have_text("0.55 credits")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "generate":
            break
    page.keyboard.press("Enter")
    expect(page.locator("article.job .tag")).to_have_text("Ready", timeout=SOON_MS)
    expect(page.get_by_role("button", name="Generate")).to_be_focused()


def test_a_screen_reader_hears_the_page_as_it_is(person: Person) -> None:
    person.signs_up()
    expect(person.page.locator("main")).to_match_aria_snapshot("""
      - heading "Your account" [level=1]
      - alert
      - region "Make a picture":
        - heading "Make a picture" [level=2]
        - textbox "What should be in it?"
        - combobox "Size"
        - group "Quality":
          - radio "Draft"
          - radio "Standard" [checked]
          - radio "High"
        - button "Generate" [disabled]
        - paragraph:
          - text: 1 credit short.
          - link "Add credits"
      - region "Pictures":
        - heading "Pictures" [level=2]
      - region "Balance":
        - paragraph: 0 credits to spend
      - region "Add credits":
        - group "How much":
          - radio /10\\.00 USD 1,000 credits/ [checked]
        - button "Add credits"
      - region "Statement":
        - heading "Statement" [level=2]
      - region "As code":
        - heading "As code" [level=2]
    """)
