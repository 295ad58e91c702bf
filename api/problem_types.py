"""Every problem that the API answers with: a stable code, a status, one title, and what to do about it.

Clients branch on the code. The page under ``/problems/<code>`` shows what stands here.
"""

from __future__ import annotations

from msgspec import Struct

QUOTA_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class ProblemType(Struct, frozen=True, kw_only=True):
    """A kind of problem. ``again``: the same request may succeed later."""

    code: str
    status: int
    title: str
    advice: str
    again: bool = False


def _type(code: str, status: int, title: str, advice: str, *, again: bool = False) -> ProblemType:
    return ProblemType(code=code, status=status, title=title, advice=advice, again=again)


_ALL = (
    _type("malformed-body", 400, "The body is not JSON", "Send one JSON value in UTF-8, without lone surrogates."),
    _type(
        "idempotency-key-missing",
        400,
        "An Idempotency-Key is needed",
        "Send a string of your own, and the same one whenever you repeat this request.",
    ),
    _type(
        "idempotency-key-invalid",
        400,
        "The Idempotency-Key is not one",
        "Send 1 to 255 printable ASCII characters, in double quotes or bare.",
    ),
    _type("bad-request", 400, "The request cannot be read", "Check the request against the OpenAPI document."),
    _type(
        "notification-refused",
        400,
        "The notification was not accepted",
        "It is forged, too old or unreadable. Nothing was stored.",
    ),
    _type(
        "unauthenticated",
        401,
        "A valid API key is needed",
        "Send `Authorization: Bearer tally_…` with a key that is neither revoked nor expired.",
    ),
    _type(
        "insufficient-credits",
        402,
        "Not enough credits",
        "`required` and `available` say what is missing. Top up, then repeat the request with a new Idempotency-Key.",
    ),
    _type(
        "scope-missing",
        403,
        "The API key may not do this",
        "`scope` names what the key lacks. Use a key that has it.",
    ),
    _type("not-found", 404, "There is nothing here", "Check the address and the id."),
    _type("method-not-allowed", 405, "The method does not fit the address", "`Allow` lists the methods that do."),
    _type(
        "outcome-unknown",
        409,
        "The outcome is not known yet",
        "Repeat the request with the same Idempotency-Key: the answer will be what became of the first.",
        again=True,
    ),
    _type(
        "version-conflict",
        409,
        "Somebody else was faster",
        "Read again and decide anew.",
        again=True,
    ),
    _type("too-many-holds", 409, "Too many open holds", "Wait until some jobs have ended.", again=True),
    _type("too-many-slices", 409, "The credits lie in too many grants", "Order a smaller amount."),
    _type("key-ended", 409, "The API key is revoked or expired", "Make a new key."),
    _type("key-rotated", 409, "The API key was rotated before", "`replaced_by` is its successor."),
    _type("too-many-keys", 409, "Too many API keys", "Revoke keys that nobody uses."),
    _type(
        "too-many-open-topups",
        409,
        "Too many open top-ups",
        "Pay one of them, or wait until one has expired.",
        again=True,
    ),
    _type("refused", 409, "A rule says no", "`reason` is the rule."),
    _type("body-too-large", 413, "The body is too large", "Send at most 1 MiB."),
    _type("unsupported-media-type", 415, "The body is not said to be JSON", "Send `Content-Type: application/json`."),
    _type(
        "invalid-request",
        422,
        "A value is not accepted",
        "`errors` lists what is wrong and where: `pointer` in the body, `parameter` in the query, or `header`.",
    ),
    _type(
        "idempotency-key-conflict",
        422,
        "The Idempotency-Key was used for another request",
        "`errors` names the field that differs. Use a new key for a new request.",
    ),
    _type(
        "quota-exceeded",
        429,
        "Too many requests",
        "Wait for as many seconds as `Retry-After` says.",
        again=True,
    ),
    _type("too-many-streams", 429, "Too many live streams", "Close streams that nobody reads.", again=True),
    _type("internal-error", 500, "A fault of ours", "Tell us the request id. Nothing was charged for this request."),
    _type("overloaded", 503, "Too busy", "Repeat the request, with the same Idempotency-Key.", again=True),
    _type(
        "not-done",
        503,
        "Not done",
        "Nothing was written. Repeat the request, with the same Idempotency-Key.",
        again=True,
    ),
    _type(
        "rail-unavailable",
        503,
        "The payment rail does not answer",
        "Repeat the request with the same Idempotency-Key, or choose another rail.",
        again=True,
    ),
    _type("not-ready", 503, "Not ready", "Repeat the request in a few seconds.", again=True),
)
PROBLEM_TYPES = {problem.code: problem for problem in _ALL}

assert len(PROBLEM_TYPES) == len(_ALL), "a code is used twice"
