"""Reading forms: fields as text, then a job's parameters or what is bought. Mistakes name the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from api.pages.errors import FormRejected, FormUnreadable
from api.pages.limits import FORM_BYTES_MAX, FORM_FIELDS_MAX
from api.pages.show_topups import FREE_AMOUNT
from api.pages.words import read_money
from payments.domain.products import AmountProduct, PackProduct, PriceBook, Product
from workers.errors import InvalidInputs, Problem
from workers.generation.tools import JobParams

Fields = Mapping[str, str]
_NUMBER = re.compile(r"[0-9a-f]{32}")
_DIGITS = re.compile(r"[0-9]{1,20}")
_FORM = "application/x-www-form-urlencoded"
_INSIDE = re.compile(r"/(?:jobs|topups|sandbox)/[a-z]{3}_[0-9a-f]{32}")


def read_form(content_type: str | None, raw: bytes) -> Fields:
    """Fields of a form; of a repeated one the last. Line ends are newlines.

    :raises FormUnreadable: no form, or more than a page of ours sends.
    """
    if (content_type or "").partition(";")[0].strip().lower() != _FORM or len(raw) > FORM_BYTES_MAX:
        raise FormUnreadable
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise FormUnreadable from error
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def form_number(fields: Fields) -> str:
    """The form's own number, under which it counts once.

    :raises FormRejected: not one that we gave.
    """
    number = fields.get("number", "")
    if _NUMBER.fullmatch(number) is None:
        raise FormRejected
    return number


def job_params(fields: Fields) -> JobParams:
    """What to paint.

    :raises InvalidInputs: a number that is none; bounds are the tool's business.
    """
    return JobParams(
        prompt=fields.get("prompt", "").strip(),
        negative_prompt=fields.get("negative_prompt", "").strip(),
        aspect_ratio=fields.get("size") or None,
        quality=fields.get("quality") or None,
        model=fields.get("model") or None,
        seed=_whole(fields, "seed"),
        images=_whole(fields, "images") or 1,
    )


def _whole(fields: Fields, name: str) -> int | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    if _DIGITS.fullmatch(text) is None:
        raise InvalidInputs((Problem(f"/{name}", "expected a whole number"),))
    return int(text)


def product(fields: Fields, book: PriceBook) -> Product | None:
    """What is bought; None where the free amount is no amount."""
    picked = fields.get("pack", "")
    if picked != FREE_AMOUNT:
        return PackProduct(picked)
    amount_minor = read_money(fields.get("amount", ""), book.currency)
    return None if not amount_minor else AmountProduct(amount_minor)


def inside(path: str) -> str:
    """Where to go after signing in, if that is a page of ours; else the front page."""
    return path if _INSIDE.fullmatch(path) else "/"
