"""One batch in memory: requests are decided one after another against what was read under the lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ledger import errors
from ledger.domain.account import STATE_FORMAT, Account, Hold, decode_account, encode_account
from ledger.domain.codec import NewEvent, encode_event
from ledger.domain.decide import decide, due
from ledger.domain.events import AccountEvent
from ledger.domain.evolve import evolve
from ledger.domain.verdicts import Answer, Done, Refused, Verdict, decode_verdict, encode_verdict, refused
from ledger.ports import Companion, Request
from ledger.writer.chain import GENESIS, Link
from ledger.writer.keys import differing_field
from ledger.writer.prepare import Prepared
from ledger.writer.requests import AccountRow, Append, EventRow, Head, StoredVerdict, StreamHead, UnderLock, VerdictRow


class Batch:
    """Decides requests and gathers what is to be appended. Mutates the accounts and holds it was given."""

    def __init__(self, read: UnderLock, accounts: dict[UUID, Account], holds: dict[UUID, Hold]) -> None:
        self.now: datetime = max(read.clock, read.head.recorded_at)
        self.accounts = accounts
        self.faults: list[Exception] = []
        self._holds = holds
        self._streams: dict[UUID, StreamHead] = dict(read.streams)
        self._verdicts: dict[bytes, StoredVerdict] = dict(read.verdicts)
        self._head = read.head
        self._link = Link(self.now, self.now)
        self._opened = {account_id for account_id, account in accounts.items() if account.version == 0}
        self._touched_accounts: dict[UUID, Account] = {}
        self._touched_holds: dict[UUID, Hold] = {}
        self._append = Append(read.head, read.head.position)

    def handle(self, prepared: Prepared) -> Answer:
        """Answer one request: replayed, refused or done."""
        seen = self._verdicts.get(prepared.key_hash)
        if seen is not None and not prepared.request.dry_run:
            return self._replay(prepared, seen)
        before = self._head.position
        try:
            verdict = self._decide(prepared)
        except errors.Refusal as refusal:
            verdict = refused(refusal, self.now, prepared.request.subject_id)
        if prepared.request.traceparent is not None:
            appended = range(before + 1, self._head.position + 1)
            self._append.traces.extend((position, prepared.request.traceparent) for position in appended)
        if not prepared.request.dry_run and _kept(prepared.request, verdict):
            self._keep(prepared, verdict)
        return Answer(verdict)

    def finish(self) -> Append:
        """What is to be written."""
        self._append.head = self._head
        self._append.holds = list(self._touched_holds.values())
        for account in self._touched_accounts.values():
            account.check()
            self._append.accounts.append(_account_row(account, opened=account.account_id in self._opened))
        return self._append

    def _replay(self, prepared: Prepared, seen: StoredVerdict) -> Answer:
        if field := differing_field(seen.digests, prepared.digests):
            return Answer(refused(errors.KeyConflict(field=field), self.now, prepared.request.subject_id))
        return Answer(decode_verdict(seen.verdict), replayed=True)

    def _decide(self, prepared: Prepared) -> Verdict:
        request = prepared.request
        account = self._account(prepared)
        try:
            events = self._account_events(account, request)
        except errors.Refusal as refusal:
            if request.dry_run or not _lasts(refusal):
                raise
            self._check_streams(request.on_refuse)
            verdict = refused(refusal, self.now, request.subject_id)
            self._companions(request.on_refuse, prepared.key_hash if _kept(request, verdict) else None)
            return verdict
        self._check_streams(request.on_accept)
        if request.dry_run:
            return self._done(account, request)
        if account is not None:
            for event in events:
                self._apply(account, event, prepared.key_hash)
        self._companions(request.on_accept, prepared.key_hash)
        return self._done(account, request)

    def _account(self, prepared: Prepared) -> Account | None:
        if prepared.account_id is None:
            return None
        account = self.accounts[prepared.account_id]
        if prepared.request.dry_run:
            account = decode_account(encode_account(account))
        for event in due(account, self.now) if account.version else ():
            if prepared.request.dry_run:
                evolve(account, self._holds, event, self.now, self._head.position)
            else:
                self._apply(account, event, None)
        return account

    def _account_events(self, account: Account | None, request: Request) -> list[AccountEvent]:
        if account is None or request.command is None:
            return []
        expected = request.expected_account_version
        if expected is not None and expected != account.version:
            raise errors.VersionConflict(expected_version=expected, account_version=account.version)
        try:
            return decide(account, self._holds, request.command, self.now)
        except errors.Refusal:
            raise
        except Exception as fault:  # a fault of ours hurts this command alone: decide has changed nothing
            self.faults.append(fault)
            raise errors.InternalError from fault

    def _check_streams(self, companions: Sequence[Companion]) -> None:
        for companion in companions:
            version = self._streams[companion.stream_id].version
            if version != companion.after_version:
                raise errors.StreamConflict(
                    stream_id=str(companion.stream_id),
                    expected_version=companion.after_version,
                    stream_version=version,
                )

    def _apply(self, account: Account, event: AccountEvent, key_hash: bytes | None) -> None:
        before = StreamHead(account.version, account.hash or GENESIS)
        row = self._append_event(account.account_id, before, encode_event(event), key_hash)
        hold = evolve(account, self._holds, event, self.now, row.position)
        account.hash = row.hash
        assert account.version == row.version
        self._touched_accounts[account.account_id] = account
        if hold is not None:
            self._touched_holds[hold.hold_id] = hold

    def _companions(self, companions: Sequence[Companion], key_hash: bytes | None) -> None:
        for companion in companions:
            for event in companion.events:
                before = self._streams[companion.stream_id]
                row = self._append_event(companion.stream_id, before, event, key_hash)
                self._streams[companion.stream_id] = StreamHead(row.version, row.hash)

    def _append_event(self, stream_id: UUID, before: StreamHead, event: NewEvent, key_hash: bytes | None) -> EventRow:
        position, version = self._head.position + 1, before.version + 1
        digest = self._link.hash(
            event,
            position=position,
            stream_id=stream_id,
            version=version,
            key_hash=key_hash,
            stream_hash=before.hash,
            log_hash=self._head.hash,
        )
        row = EventRow(stream_id, version, event.tag, event.state, position, key_hash, digest)
        self._append.events.append(row)
        self._head = Head(position, digest, self.now)
        return row

    def _done(self, account: Account | None, request: Request) -> Done:
        return Done(
            position=self._head.position,
            account_version=account.version if account else 0,
            posted_ucr=account.posted_ucr if account else 0,
            held_ucr=account.held_ucr if account else 0,
            frozen_ucr=account.frozen_ucr if account else 0,
            recorded_at=self.now,
            subject_id=request.subject_id,
        )

    def _keep(self, prepared: Prepared, verdict: Verdict) -> None:
        raw = encode_verdict(verdict)
        self._verdicts[prepared.key_hash] = StoredVerdict(prepared.digests, raw)
        self._append.verdicts.append(VerdictRow(prepared.key_hash, prepared.digests, raw, self._head.position))


def _kept(request: Request, verdict: Verdict) -> bool:
    if isinstance(verdict, Refused):
        return request.origin == "caller" and not verdict.transient and verdict.code != errors.InternalError.code
    return True


def _lasts(refusal: errors.Refusal) -> bool:
    """Whether a refusal is a rule's; one that may pass by itself, or a fault of ours, is not to be recorded."""
    return not refusal.transient and not isinstance(refusal, errors.InternalError)


def _account_row(account: Account, *, opened: bool) -> AccountRow:
    return AccountRow(
        account.account_id,
        account.organisation_id,
        account.version,
        account.hash,
        STATE_FORMAT,
        encode_account(account),
        account.next_due_at,
        opened,
    )
