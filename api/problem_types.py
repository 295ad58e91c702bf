"""Every problem that the API answers with: a stable code, a status, one title, and what to do about it.

Clients branch on the code. The page under ``/problems/<code>`` shows what stands here.
"""

from __future__ import annotations

from msgspec import Struct

QUOTA_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class ProblemType(Struct, frozen=True, kw_only=True):
    """A kind of problem. ``again``: the same request, with the same key, may succeed later; told as ``transient``.

    Of what the ledger refuses it is what the ledger says: it keeps a refusal for the key unless it is transient.
    """

    code: str
    status: int
    title: str
    advice: str
    again: bool = False


def _type(code: str, status: int, title: str, advice: str, *, again: bool = False) -> ProblemType:
    return ProblemType(code=code, status=status, title=title, advice=advice, again=again)


_LEDGER = (
    _type("account-unknown", 404, "There is no such account", "Check the id: accounts of others are unknown, too."),
    _type("hold-unknown", 404, "There is no such hold", "Check the id, and `account_id` if it is sent."),
    _type("grant-unknown", 404, "There is no such grant", "Check the id, and `account_id` if it is sent."),
    _type("debit-unknown", 404, "There is no such debit", "Check the id, and `account_id` if it is sent."),
    _type("budget-unknown", 404, "There is no such budget", "Set the budget before anything counts against it."),
    _type("account-exists", 409, "The account exists", "Use another id."),
    _type("grant-exists", 409, "The grant exists", "Use another id."),
    _type("hold-exists", 409, "The hold exists", "Use another id."),
    _type("debit-exists", 409, "The debit exists", "Use another id."),
    _type("account-frozen", 403, "The account is frozen", "Nothing new can be spent. Ask the operator why."),
    _type("account-closed", 409, "The account is closed", "Use another account."),
    _type("account-not-empty", 409, "The account is not empty", "Spend or move what is left, and end all holds."),
    _type("hold-resolved", 409, "The hold has ended", "`state` says how, `resolved_at` when. Nothing was charged."),
    _type("hold-not-due", 409, "The hold has not ended", "Wait until `lease_until`."),
    _type("hold-of-job", 409, "The hold belongs to a job", "It ends with the job. To end it early cancel the job."),
    _type("commit-above-hold", 409, "More than is held", "Commit at most `remaining`, or raise the hold first."),
    _type("raise-above-cap", 409, "More than the hold's cap", "A cap is set when the hold is made."),
    _type("late-finish-over", 409, "Too late to finish the hold", "Debit without a hold, if you must."),
    _type("grant-frozen", 409, "The grant is frozen", "A dispute over it is open. Unfreeze it first."),
    _type("grant-not-frozen", 409, "The grant is not frozen", "There is nothing to unfreeze."),
    _type("grant-ended", 409, "The grant has ended", "Give a new one."),
    _type("revoke-above-grant", 409, "More than can be revoked", "Revoke at most `revocable`."),
    _type("balance-too-large", 409, "The account would have too much", "At most `posted_max` fits an account."),
    _type("debt-too-large", 409, "The account would owe too much", "Revoke less, or with `spent_as` set to `loss`."),
    _type(
        "too-many-grants",
        409,
        "The account has too many grants",
        "Spend or move some of them. Then repeat the request with a new Idempotency-Key.",
    ),
    _type("extension-not-later", 409, "The grant ends later already", "`expires_at` is its end."),
    _type("reverse-above-debit", 409, "More than can be undone", "Undo at most `reversible`."),
    _type("overdraft-repaid", 409, "The overdraft is repaid", "It cannot be undone. Adjust the balance instead."),
    _type("debt-repaid", 409, "The debt is repaid", "What was spent was revoked, and paid for since. Adjust instead."),
    _type("other-organisation", 403, "Another organisation's account", "Credits never move between organisations."),
    _type("second-operator-needed", 403, "Somebody else must approve", "Nobody approves their own proposal."),
    _type("proposal-unknown", 404, "There is no such proposal", "Check the id."),
    _type("proposal-ended", 409, "The proposal has ended", "It was approved before, or is too old. Propose it again."),
    _type("effective-in-future", 422, "The date is not in the past", "`effective_at` is a date in the past, if sent."),
    _type(
        "budget-exceeded",
        402,
        "The budget is used up",
        "`resets_at` is when the next window begins. Raise the budget, or wait; then use a new Idempotency-Key.",
    ),
    _type(
        "too-many-refusals",
        429,
        "Too many refusals today",
        "Find out why this account's requests are refused before you send more of them.",
        again=True,
    ),
    _type(
        "upgrade-needed",
        503,
        "A part of ours is too old for this account",
        "Nothing was written. Repeat the request, with the same Idempotency-Key.",
        again=True,
    ),
    _type(
        "stream-conflict",
        409,
        "Somebody else was faster",
        "Nothing was written. Read again and decide anew.",
        again=True,
    ),
    _type(
        "clock-skew",
        503,
        "Our clocks disagree",
        "Nothing was written. Repeat the request, with the same Idempotency-Key.",
        again=True,
    ),
)
"""What the ledger refuses: each code of ``ledger.errors`` that is not in ``_ALL`` for others, too."""

_ALL = (
    *_LEDGER,
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
    _type(
        "too-many-holds",
        409,
        "Too many open holds",
        "End some, or wait until some jobs have ended. Then repeat the request with a new Idempotency-Key.",
    ),
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
