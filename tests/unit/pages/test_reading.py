"""Forms, and the same as code."""

from __future__ import annotations

import ast
import json
import shlex
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.code import as_code, curl_lines
from api.pages.errors import FormRejected, FormUnreadable
from api.pages.limits import FORM_BYTES_MAX, FORM_FIELDS_MAX
from api.pages.reading import form_number, inside, job_params, product, read_form
from payments.domain.products import AmountProduct, PackProduct, PriceBook
from workers.errors import InvalidInputs
from workers.generation.tools import JobParams

FORM = "application/x-www-form-urlencoded"
BOOK = PriceBook(version="1", valid_from=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_form_reads_as_a_browser_sends_it() -> None:
    raw = urlencode({"prompt": "two\r\nlines & an \N{SNOWMAN}", "seed": ""}).encode()
    assert read_form(f"{FORM}; charset=utf-8", raw) == {"prompt": "two\nlines & an \N{SNOWMAN}", "seed": ""}


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("application/json", b"{}"),
        (None, b"a=b"),
        (FORM, "a=\N{SNOWMAN}".encode()),
        (FORM, b"&".join(b"a=b" for _ in range(FORM_FIELDS_MAX + 1))),
        (FORM, b"a=" + b"b" * FORM_BYTES_MAX),
    ],
)
def test_what_no_page_of_ours_sends_is_not_read(content_type: str | None, raw: bytes) -> None:
    with pytest.raises(FormUnreadable):
        read_form(content_type, raw)


def test_a_form_counts_under_a_number_that_we_gave() -> None:
    assert form_number({"number": "0" * 32}) == "0" * 32
    for number in ("", "1", "G" * 32, "0" * 33):
        with pytest.raises(FormRejected):
            form_number({"number": number})


def test_fields_become_a_job_and_what_is_empty_the_default() -> None:
    asked = {"prompt": " a fish ", "size": "16:9", "quality": "draft", "seed": "7", "images": "", "model": ""}
    assert job_params(asked) == JobParams(prompt="a fish", aspect_ratio="16:9", quality="draft", seed=7)
    assert job_params({}) == JobParams(prompt="")


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "\N{SUPERSCRIPT TWO}", "9" * 21])
def test_a_number_that_is_none_names_its_field(seed: str) -> None:
    with pytest.raises(InvalidInputs) as refused:
        job_params({"seed": seed})
    assert refused.value.problems[0].pointer == "/seed"


def test_a_pack_or_an_amount_is_bought() -> None:
    assert product({"pack": "starter"}, BOOK) == PackProduct("starter")
    assert product({"pack": "custom", "amount": "12.50"}, BOOK) == AmountProduct(1_250)
    assert product({"pack": "custom", "amount": "nothing"}, BOOK) is None
    assert product({"pack": "custom", "amount": "0"}, BOOK) is None


@pytest.mark.parametrize(
    "path",
    ["", "//evil.example", "https://evil.example", "/jobs", "/jobs/../x", f"/jobs/job_{'0' * 32}/cancel", "/\\evil"],
)
def test_signing_in_leads_nowhere_else(path: str) -> None:
    assert inside(path) == "/"
    assert inside(f"/topups/top_{'0' * 32}") == f"/topups/top_{'0' * 32}"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_prompt_survives_the_shell_and_python(prompt: str) -> None:
    code = as_code("http://here", JobParams(prompt=prompt, seed=3))
    words = shlex.split(code.curl[1])
    assert json.loads(words[words.index("-d") + 1]) == {"prompt": prompt, "seed": 3}
    tree = ast.parse(code.python)
    orders = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "order"]  # type: ignore[union-attr]
    assert ast.literal_eval(orders[0]) == {"prompt": prompt, "seed": 3}


def test_the_three_lines_need_nothing_else() -> None:
    lines = curl_lines("http://here", "tally_test_x")
    assert [shlex.split(line)[0] for line in lines] == ["curl"] * 3
    assert all("Authorization: Bearer tally_test_x" in shlex.split(line) for line in lines)
