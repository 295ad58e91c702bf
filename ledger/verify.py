"""Replay the whole log: positions, versions, hashes, then stored state against what the events say.

Sans I/O: a core that reads page by page and keeps one hash per stream, not the events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from msgspec import Struct, ValidationError

from ledger.domain.account import STATE_FORMAT, Account, Hold, decode_parts, encode_account
from ledger.domain.codec import RecordedEvent, account_event, is_account_event
from ledger.domain.evolve import Rows, evolve
from ledger.follower import READ
from ledger.sansio import Core, Row, Run, Statement
from ledger.writer.chain import GENESIS, expected_hash
from ledger.writer.requests import StreamHead

PAGE = 2_000
_NIL = UUID(int=0)

SNAPSHOT = Statement("verify-snapshot", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
HEAD = Statement("verify-head", "SELECT position, hash FROM log_head")
ACCOUNTS = Statement(
    "verify-accounts",
    """
    SELECT account_id, version, hash, format, state FROM account_states
    WHERE account_id > %(after)s ORDER BY account_id LIMIT %(limit)s
    """,
)
HOLDS = Statement(
    "verify-holds",
    """
    SELECT hold_id, account_id, state, amount_ucr, committed_ucr, remaining_ucr, lease_until, opened_at, resolved_at,
           opened_position, reference, slices
    FROM holds WHERE hold_id > %(after)s ORDER BY hold_id LIMIT %(limit)s
    """,
)
FORGED = Statement(
    "verify-keys",
    """
    SELECT e.notification_id AS position FROM events AS e LEFT JOIN verdicts AS v ON v.key_hash = e.key_hash
    WHERE e.key_hash IS NOT NULL AND v.key_hash IS NULL ORDER BY e.notification_id LIMIT 1
    """,
)


class Finding(Struct, frozen=True):
    """The first thing that is wrong: at which position of the log (0: not in the log) and what."""

    position: int
    what: str


class Report(Struct, frozen=True, kw_only=True):
    """What was verified, and what is wrong; ``findings`` empty means clean."""

    events: int
    accounts: int
    holds: int
    head_hash: bytes
    findings: tuple[Finding, ...]


class _Replay:
    """Heads of all streams and state of all accounts, as the events say."""

    def __init__(self) -> None:
        self.position = 0
        self.log_hash: bytes = GENESIS
        self.streams: dict[UUID, StreamHead] = {}
        self.accounts: dict[UUID, Account] = {}
        self.rows = Rows()

    def take(self, event: RecordedEvent) -> Finding | None:
        """Take the next event; what is wrong with it."""
        before = self.streams.get(event.stream_id, StreamHead(0, GENESIS))
        if event.position != self.position + 1:
            return Finding(self.position + 1, f"missing: the log goes on at {event.position}")
        if event.version != before.version + 1:
            return Finding(event.position, f"stream {event.stream_id} jumps from {before.version} to {event.version}")
        if event.hash != expected_hash(event, stream_hash=before.hash, log_hash=self.log_hash):
            return Finding(event.position, "its hash does not fit what is stored")
        self.position, self.log_hash = event.position, event.hash
        self.streams[event.stream_id] = StreamHead(event.version, event.hash)
        return self._evolve(event) if is_account_event(event.tag) else None

    def _evolve(self, event: RecordedEvent) -> Finding | None:
        account = self.accounts.setdefault(event.stream_id, Account(account_id=event.stream_id, organisation_id=_NIL))
        try:
            evolve(account, self.rows, account_event(event.state), event.recorded_at, event.position)
            account.check()
        except (AssertionError, KeyError, ValidationError) as error:
            return Finding(event.position, f"account {event.stream_id}: {error}")
        account.hash = event.hash
        return None


def verify() -> Core[Report]:
    """Read the log and the state beside it from one snapshot; the first wrong position, if any."""
    replayed = _Replay()
    findings: list[Finding] = []
    yield Run(SNAPSHOT, {})
    while not findings:
        rows: list[Row] = yield Run(READ, {"after": replayed.position, "limit": PAGE})
        if not rows:
            break
        findings.extend(_first_wrong(replayed, [RecordedEvent(**row) for row in rows]))
    if not findings:
        findings.extend((yield from _check_head(replayed)))
        findings.extend((yield from _check_accounts(replayed)))
        findings.extend((yield from _check_holds(replayed)))
    return Report(
        events=replayed.position,
        accounts=len(replayed.accounts),
        holds=len(replayed.rows.holds),
        head_hash=replayed.log_hash,
        findings=tuple(findings),
    )


def _first_wrong(replayed: _Replay, events: Sequence[RecordedEvent]) -> list[Finding]:
    for event in events:
        if finding := replayed.take(event):
            return [finding]
    return []


def _check_head(replayed: _Replay) -> Core[list[Finding]]:
    rows: list[Row] = yield Run(HEAD, {})
    position, digest = rows[0]["position"], rows[0]["hash"]
    if (position, digest) != (replayed.position, replayed.log_hash):
        return [Finding(replayed.position + 1, f"the head says {position}, the log ends at {replayed.position}")]
    keyless: list[Row] = yield Run(FORGED, {})
    return [Finding(row["position"], "its idempotency key has no verdict") for row in keyless]


def _check_accounts(replayed: _Replay) -> Core[list[Finding]]:
    seen, after = 0, _NIL
    findings: list[Finding] = []
    while rows := (yield Run(ACCOUNTS, {"after": after, "limit": PAGE})):
        after, seen = rows[-1]["account_id"], seen + len(rows)
        findings.extend(_wrong_accounts(replayed, rows))
    if not findings and seen != len(replayed.accounts):
        findings.append(Finding(0, f"{seen} account states for {len(replayed.accounts)} accounts"))
    return findings[:1]


def _wrong_accounts(replayed: _Replay, rows: list[Row]) -> Iterator[Finding]:
    for row in rows:
        account = replayed.accounts.get(row["account_id"])
        if account is None or (row["version"], row["hash"]) != (account.version, account.hash):
            yield Finding(0, f"account {row['account_id']}: state and stream end at different events")
        elif row["format"] == STATE_FORMAT and row["state"] != encode_account(account):
            yield Finding(0, f"account {row['account_id']}: stored state is not what its events say")


def _check_holds(replayed: _Replay) -> Core[list[Finding]]:
    seen, after = 0, _NIL
    findings: list[Finding] = []
    while rows := (yield Run(HOLDS, {"after": after, "limit": PAGE})):
        after, seen = rows[-1]["hold_id"], seen + len(rows)
        findings.extend(
            Finding(row["opened_position"], f"hold {row['hold_id']}: its row is not what its events say")
            for row in rows
            if replayed.rows.holds.get(row["hold_id"]) != _hold(row)
        )
    if not findings and seen != len(replayed.rows.holds):
        findings.append(Finding(0, f"{seen} hold rows for {len(replayed.rows.holds)} holds"))
    return findings[:1]


def _hold(row: Row) -> Hold:
    parts = decode_parts(row["slices"])
    left_out = {"slices", "spent", "budgets", "cap_ucr"}
    fields = {name: row[name] for name in Hold.__struct_fields__ if name not in left_out}
    hold = Hold(**fields, slices=parts.slices, spent=parts.spent, budgets=parts.budgets, cap_ucr=parts.cap_ucr)
    return hold if hold.remaining_ucr == row["remaining_ucr"] else Hold(**fields, slices=())
