"""One credit's whole life by hand, in Chromium: from sign-up to the debit in the statement, and what can go wrong."""

from __future__ import annotations

import re
import subprocess

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import pages
from tests.support.pages import SOON_MS, Person, Stage
from workers.nodes.faults import Fault

READY = re.compile("Ready")


def amount_on(page: Page) -> str:
    return page.locator("#balance [data-amount]").inner_text()


def rows_of(page: Page) -> list[list[str]]:
    """The statement's cells, newest line first."""
    return [
        [cell.strip() for cell in row.locator("td").all_inner_texts()]
        for row in page.locator("#statement tbody tr").all()
    ]


def test_one_credits_whole_life_by_hand(person: Person) -> None:
    page = person.page
    secret = person.signs_up("Ada & Co")
    assert re.fullmatch(r"tally_test_[0-9A-Za-z]{36}", secret)
    assert amount_on(page) == "0"
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()

    person.orders_credits()
    person.pays("pay")
    person.sees("1,000 credits added")
    page.get_by_role("link", name="Make a picture").click()
    assert amount_on(page) == "1,000"

    person.asks_for("a lighthouse at dusk", quality="High", price="1.72 credits")
    person.stage.node.script(Fault.SLOW, seconds=0.15)  # there is time to look at it while it is painted
    page.get_by_role("button", name="Generate").click()
    job = page.locator("article.job")
    expect(job.locator(".tag")).to_have_text("Painting", timeout=SOON_MS)
    expect(job.locator("progress[value]")).to_be_visible(timeout=SOON_MS)
    expect(page.locator("#balance .held")).to_contain_text("1.72 set aside for 1 picture")
    expect(page).to_have_title("Painting · Tallystick")
    expect(job.locator(".preview img")).to_be_visible(timeout=SOON_MS)
    expect(job.locator(".tag")).to_have_text("Ready", timeout=SOON_MS)
    expect(page).to_have_title("Ready · Tallystick")
    expect(page.locator("#say")).to_have_text("Ready")
    expect(job).to_contain_text("1.72 credits paid")

    picture = job.locator(".pictures img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [1024, 1024]
    with page.expect_download() as downloading:
        job.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename.endswith(".png")
    assert downloading.value.path().read_bytes().startswith(b"\x89PNG")

    expect(page.locator("#statement tbody tr")).to_have_count(3, timeout=SOON_MS)
    paid, held, added = rows_of(page)
    assert (paid[1], paid[2], paid[4]) == ("Image paid", "\N{MINUS SIGN}1.72", "998.28")
    assert (held[1], held[2], held[3], held[4]) == ("Set aside for an image", "", "+1.72", "1,000")
    assert (added[1], added[2], added[4]) == ("Credits added", "+1,000", "1,000")
    assert amount_on(page) == "998.28"
    page.get_by_role("link", name="Image paid").click()
    person.sees("a lighthouse at dusk")
    person.sees_no_complaint()


def test_a_price_beyond_the_balance_disables_the_button_and_says_what_is_short(person: Person) -> None:
    person.signs_up()
    page = person.page
    page.get_by_label("What should be in it?").fill("a whale")
    expect(page.locator("#price")).to_contain_text("1 credit short.")
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()
    person.is_given(1)
    expect(page.get_by_role("button", name="Generate")).to_be_enabled(timeout=SOON_MS)
    expect(page.locator("#price")).to_contain_text("0 left after it")
    person.sees_no_complaint()


def test_credits_that_went_meanwhile_are_missed_at_the_order_and_nothing_is_charged(person: Person) -> None:
    person.signs_up()
    person.is_given(1)
    page = person.page
    for path in ("live", "refresh", "price"):
        page.route(re.compile(rf"/{path}(\?|$)"), lambda route: route.abort())
    person.goes()
    person.asks_for("a whale", quality="Standard")
    with pages.person(person.stage, person.context.browser) as same:  # type: ignore[arg-type]
        same.signs_in(person.secret)
        same.asks_for("a shark", quality="Standard")
        same.page.get_by_role("button", name="Generate").click()
        expect(same.page.locator("article.job")).to_have_count(1)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#price")).to_contain_text("1 credit short.", timeout=SOON_MS)


def test_a_cancelled_picture_gives_its_credits_back(person: Person) -> None:
    person.signs_up()
    person.is_given(10)
    page = person.page
    page.locator("summary", has_text="More choices").click()
    page.get_by_label("How many").fill("4")
    person.asks_for("a long work", quality="High", price="6.88 credits")
    person.stage.node.script(Fault.SLOW, seconds=0.5)
    page.get_by_role("button", name="Generate").click()
    job = page.locator("article.job")
    expect(job.locator("progress")).to_be_visible()
    job.get_by_role("button", name="Cancel").click()
    expect(job.locator(".tag")).to_have_text("Cancelled", timeout=SOON_MS)
    expect(job).to_contain_text(re.compile("Not charged, [0-9.]+ credits returned"))
    expect(page.locator("#balance [data-amount]")).to_have_text("10", timeout=SOON_MS)
    expect(page.locator("#statement tbody tr").first).to_contain_text("Set aside, returned", timeout=SOON_MS)
    person.sees_no_complaint()


@pytest.mark.parametrize("fault", [Fault.OOM], ids=lambda fault: fault.value)
def test_a_failed_picture_says_why_and_costs_nothing(person: Person, fault: Fault) -> None:
    person.signs_up()
    person.is_given(10)
    person.asks_for("too much")
    person.stage.node.script(fault)
    person.page.get_by_role("button", name="Generate").click()
    job = person.page.locator("article.job")
    expect(job.locator(".tag")).to_have_text("Failed", timeout=SOON_MS)
    expect(job).to_contain_text("It failed because")
    expect(job).to_contain_text("Not charged, 0.55 credits returned")
    expect(person.page.locator("#balance [data-amount]")).to_have_text("10", timeout=SOON_MS)
    person.sees_no_complaint()


def test_underpaying_asks_for_the_rest_and_the_rest_completes_it(person: Person) -> None:
    person.signs_up()
    person.orders_credits()
    person.pays("under")
    person.sees("Underpaid: 4.00 USD arrived")
    person.sees("6.00 USD are missing")
    person.goes()
    expect(person.page.locator("#pending li")).to_have_count(1)
    person.page.locator("#pending a").click()
    person.pays("pay")
    person.sees("1,000 credits added")
    person.goes()
    expect(person.page.locator("#pending")).to_be_hidden()
    assert amount_on(person.page) == "1,000"
    person.sees_no_complaint()


def test_a_failed_payment_can_be_tried_again(person: Person) -> None:
    person.signs_up()
    person.orders_credits()
    person.pays("fail")
    person.sees("Payment failed")
    person.sees("Nothing was charged")
    person.pays("pay")
    person.sees("1,000 credits added")
    person.sees_no_complaint()


@pytest.mark.parametrize(
    ("act", "says"),
    [("late", "arrived after the price had ended"), ("over", "12.50 USD arrived, more than was asked")],
)
def test_what_comes_late_or_beyond_is_credited_too(person: Person, act: str, says: str) -> None:
    person.signs_up()
    person.orders_credits()
    person.pays(act)
    person.sees(says)
    expected = {"late": "1,000", "over": "1,250"}[act]
    expect(person.page.locator("#balance [data-amount]")).to_have_text(expected, timeout=SOON_MS)
    person.sees_no_complaint()


def test_an_amount_of_ones_own_says_what_it_buys_while_it_is_typed(person: Person) -> None:
    person.signs_up()
    page = person.page
    page.get_by_text("Another amount").click()
    amount = page.get_by_label("Amount in USD")
    amount.fill("12.50")
    expect(page.locator("#deal")).to_contain_text("You get 1,250 credits for 12.50 USD")
    amount.fill("0.01")
    expect(page.locator("#deal")).to_contain_text("The amount must be between 5.00 and 10,000.00 USD.")
    amount.fill("lots")
    expect(page.locator("#deal")).to_contain_text("Enter an amount between")
    page.get_by_role("button", name="Add credits").click()
    expect(page.get_by_role("alert").filter(has_text="Enter an amount")).to_be_visible()
    person.sees_no_complaint()


def test_what_a_program_orders_appears_on_the_open_page(person: Person) -> None:
    person.signs_up()
    person.is_given(5)
    customer_line = person.page.locator("#curl-2").inner_text().replace("$TALLYSTICK_KEY", person.secret)
    done = subprocess.run(["bash", "-c", customer_line], capture_output=True, text=True, check=False, timeout=60)
    assert '"state":"succeeded"' in done.stdout, done.stdout + done.stderr
    job = person.page.locator("article.job")
    expect(job).to_have_count(1, timeout=SOON_MS)
    expect(job.locator(".tag")).to_have_text("Ready", timeout=SOON_MS)
    for line in ("#curl-1", "#curl-3"):
        shell = person.page.locator(line).inner_text().replace("$TALLYSTICK_KEY", person.secret)
        answered = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True, timeout=60)
        assert '"available":"4.45"' in answered.stdout or '"has_more":false' in answered.stdout
    person.sees_no_complaint()


def test_a_page_whose_stream_is_away_looks_again_by_itself(stage: Stage, browser: Browser) -> None:
    with pages.person(stage, browser) as someone:
        someone.page.route("**/live*", lambda route: route.abort())
        someone.signs_up()
        someone.is_given(5)
        expect(someone.page.locator("#balance [data-amount]")).to_have_text("5", timeout=SOON_MS)
        someone.asks_for("a fox")
        someone.page.get_by_role("button", name="Generate").click()
        job = someone.page.locator("article.job")
        expect(job.locator(".tag")).to_have_text("Ready", timeout=SOON_MS)
        expect(job).to_have_count(1)
        expect(someone.page.locator("#statement tbody tr")).to_have_count(3, timeout=SOON_MS)


def test_a_revoked_key_ends_the_open_page_within_seconds(person: Person) -> None:
    person.signs_up()
    keys = person.stage.site.runtime.keys
    principal = keys.verify(person.secret)
    keys.revoke(principal.organisation_id, principal.key_id)
    expect(person.page.get_by_role("heading", name="Come back")).to_be_visible(timeout=SOON_MS)
    person.goes()
    expect(person.page.get_by_role("heading", name="Come back")).to_be_visible()


def test_signing_out_and_in_again(person: Person) -> None:
    secret = person.signs_up("Ada")
    person.page.get_by_role("button", name="Sign out").click()
    person.page.get_by_label("API key").fill("tally_test_wrong")
    person.page.get_by_role("button", name="Sign in").click()
    person.sees("This is not a key that is good here.")
    person.signs_in(secret)
    expect(person.page.locator(".who")).to_have_text("Ada")
    person.sees_no_complaint()
