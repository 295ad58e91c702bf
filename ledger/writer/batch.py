"""One batch in memory: requests are decided one after another against what was read under the lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import UUID

from ledger import errors, limits
from ledger.domain.account import Account
from ledger.domain.budgets import budget_of, may_set
from ledger.domain.codec import encode_event
from ledger.domain.commands import AccountCommand, SetBudget
from ledger.domain.debts import consequences
from ledger.domain.decide import decide
from ledger.domain.events import BudgetSet, CreditsTransferredIn, VerdictsSealed
from ledger.domain.rules.grants import due
from ledger.domain.rules.known import Decision, Known
from ledger.domain.verdicts import Answer, Done, Refused, Verdict, decode_verdict, encode_verdict, refused
from ledger.ports import Companion, Request
from ledger.writer.appending import Appending
from ledger.writer.prepare import Prepared, conflict
from ledger.writer.requests import Append, Refusals, StoredVerdict, StreamHead, UnderLock, VerdictRow
from ledger.writer.seal import seal
from ledger.writer.trial import copy_of, expire_due, touched_by, try_out

SEALS = UUID(int=1)
"""The stream of ``VerdictsSealed``."""
_NOBODY = Account(account_id=UUID(int=0), organisation_id=UUID(int=0))
_Decided = tuple[Account, AccountCommand, Decision | None]


class Batch:
    """Decides requests and gathers what is to be appended. Mutates the accounts and rows it was given.

    ``unreadable`` are accounts in which a newer release has written what this one does not know. Kinds are compared by
    ``type``: to find that a struct is no ``isinstance`` of another kind takes four times as long.
    """

    def __init__(self, read: UnderLock, known: Known, unreadable: Collection[UUID] = ()) -> None:
        self.now: datetime = known.now
        self.known = known
        self.faults: list[Exception] = []
        self._unreadable = unreadable
        self._verdicts: dict[bytes, StoredVerdict | VerdictRow] = dict(read.verdicts)
        self._writing = Appending(read.head, known, read.streams)
        self._unnamed: list[VerdictRow] = []
        self._refused: dict[bytes, UUID] = {}
        self._dropped: set[bytes] = set()

    def handle(self, prepared: Prepared) -> Answer:
        """Answer one request: replayed, refused or done."""
        request = prepared.request
        seen = self._verdicts.get(prepared.key_hash)
        if seen is not None and not request.dry_run:
            return replay(prepared, seen, self.now)
        before, keyed = self._writing.position, self._writing.keyed
        try:
            verdict = self._decide(prepared)
        except errors.Refusal as refusal:
            verdict = refused(refusal, self.now, request.subject_id)
        if request.traceparent is not None:
            appended = range(before + 1, self._writing.position + 1)
            self._writing.append.traces += [(position, request.traceparent) for position in appended]
        if not request.dry_run and _kept(request, verdict):
            self._keep(prepared, verdict, named=self._writing.keyed > keyed)
        return Answer(verdict)

    @property
    def refusing(self) -> tuple[UUID, ...]:
        """Accounts for which refusals are to be kept."""
        return tuple(dict.fromkeys(self._refused.values()))

    @property
    def sealing(self) -> bool:
        """Whether verdicts are kept that no event names: they need a seal."""
        return bool(self._unnamed)

    def seal(self, read: Refusals) -> None:
        """Cover the verdicts that no event names by an event; see ``told`` for those that are too many."""
        kept = dict(read.kept)
        rows: list[VerdictRow] = []
        for row in self._unnamed:
            account_id = self._refused.get(row.key_hash)
            if account_id is not None:
                kept[account_id] = kept.get(account_id, 0) + 1
                if kept[account_id] > limits.REFUSALS_KEPT_PER_ACCOUNT_DAY:
                    kept[account_id] -= 1
                    self._dropped.add(row.key_hash)
                    continue
            rows.append(row)
        if rows:
            self._seal(rows, read.seals)
        day = self.now.date()
        self._writing.append.refusals = [
            (account_id, day, count) for account_id, count in kept.items() if count != read.kept.get(account_id)
        ]

    def told(self, prepared: Prepared, answer: Answer) -> Answer:
        """What is answered after all: a refusal that could not be kept is no verdict for ever."""
        if prepared.key_hash not in self._dropped or prepared.request.dry_run:
            return answer
        refusal = errors.TooManyRefusals(kept_max=limits.REFUSALS_KEPT_PER_ACCOUNT_DAY)
        return Answer(refused(refusal, self.now, prepared.request.subject_id))

    def finish(self) -> Append:
        """What is to be written."""
        return self._writing.finish()

    def _seal(self, rows: list[VerdictRow], seals: StreamHead) -> None:
        rows.sort(key=lambda row: row.key_hash)
        digest = seal((row.key_hash, row.digests, row.verdict) for row in rows)
        self._writing.streams[SEALS] = seals
        event = self._writing.add(SEALS, encode_event(VerdictsSealed(count=len(rows), sha256=digest.hex())), None)
        self._writing.append.verdicts += [row._replace(position=event.position) for row in rows]

    def _decide(self, prepared: Prepared) -> Verdict:
        request = prepared.request
        accounts = [self.known.accounts[account_id] for account_id in prepared.accounts]
        if self._unreadable:
            self._check_readable(accounts)
        answering = accounts[0] if accounts else None
        if request.dry_run:
            self._check_streams(request.on_accept)
            copies = self._try(prepared)
            return self._done(request, None if answering is None else copies.accounts[answering.account_id])
        for account in accounts:
            for event in due(account, self.now):
                self._writing.apply(account, event, None)
        if request.on_accept:
            self._check_streams(request.on_accept)
        try:
            decided = self._decided(prepared, answering)
        except errors.Refusal as refusal:
            if not _lasts(refusal):
                raise
            return self._refuse(prepared, refusal)
        for account, command, events in decided:
            self._carry_out(account, command, events, prepared.key_hash)
        if type(request.command) is SetBudget:
            self._set_budget(request.command, prepared.key_hash)
        self._writing.companions(request.on_accept, prepared.key_hash)
        return self._done(request, answering)

    def _check_readable(self, accounts: Sequence[Account]) -> None:
        for account in accounts:
            if account.account_id in self._unreadable:
                raise errors.UpgradeNeeded(account_id=str(account.account_id))

    def _try(self, prepared: Prepared) -> Known:
        """Do a request on copies; what they are afterwards."""
        request, position = prepared.request, self._writing.position
        copies = copy_of(self.known, prepared.accounts, prepared.holds)
        expire_due(copies, position)
        self._check_version(request, copies.accounts[prepared.accounts[0]] if prepared.accounts else None)
        self._guarded(lambda: try_out(copies, _account_commands(request), position))
        if type(request.command) is SetBudget:
            self._may_set(request.command)
        return copies

    def _decided(self, prepared: Prepared, answering: Account | None) -> Sequence[_Decided]:
        """Commands with their events; those that are linked have been tried, and are decided when their turn comes."""
        request = prepared.request
        if request.linked:
            self._try(prepared)
            commands = _account_commands(request)
            return [(self.known.accounts[command.account_id], command, None) for command in commands]
        if request.expected_account_version is not None:
            self._check_version(request, answering)
        command = request.command
        if command is None or answering is None or type(command) is SetBudget:
            if type(command) is SetBudget:
                self._may_set(command)
            return ()
        try:
            return ((answering, command, decide(answering, self.known, command)),)
        except errors.Refusal:
            raise
        except Exception as fault:
            raise self._fault(fault) from fault

    def _guarded(self, decision: Callable[[], None]) -> None:
        try:
            decision()
        except errors.Refusal:
            raise
        except Exception as fault:
            raise self._fault(fault) from fault

    def _fault(self, fault: Exception) -> errors.InternalError:
        """A fault of ours hurts this request alone: nothing has been changed yet."""
        self.faults.append(fault)
        return errors.InternalError()

    def _check_version(self, request: Request, answering: Account | None) -> None:
        expected = request.expected_account_version
        if expected is not None and answering is not None and expected != answering.version:
            raise errors.VersionConflict(expected_version=expected, account_version=answering.version)

    def _check_streams(self, companions: Sequence[Companion]) -> None:
        """First of all: who knows a stream as it was is told so, whatever the rules say to his command."""
        coming: dict[UUID, int] = {}
        for companion in companions:
            stream_id = companion.stream_id
            version = self._writing.streams[stream_id].version + coming.get(stream_id, 0)
            coming[stream_id] = coming.get(stream_id, 0) + len(companion.events)
            if self._is_of_commands(stream_id):
                raise self._fault(ValueError(f"a companion names {stream_id}, whose events come from commands alone"))
            if version != companion.after_version:
                raise errors.StreamConflict(
                    stream_id=str(stream_id), expected_version=companion.after_version, stream_version=version
                )

    def _is_of_commands(self, stream_id: UUID) -> bool:
        known = self.known
        if stream_id in known.accounts or stream_id in known.budgets.known or stream_id == SEALS:
            return True
        return self._writing.streams[stream_id].by_commands

    def _refuse(self, prepared: Prepared, refusal: errors.Refusal) -> Verdict:
        request = prepared.request
        self._check_streams(request.on_refuse)
        verdict = refused(refusal, self.now, request.subject_id)
        self._writing.companions(request.on_refuse, prepared.key_hash if _kept(request, verdict) else None)
        return verdict

    def _carry_out(self, account: Account, command: AccountCommand, events: Decision | None, key_hash: bytes) -> None:
        effective_at: datetime | None = getattr(command, "effective_at", None)  # few commands have one
        accounts = touched_by(account, self.known, command)
        for event in decide(account, self.known, command) if events is None else events:
            target = accounts[-1] if type(event) is CreditsTransferredIn else account
            self._writing.apply(target, event, key_hash, effective_at)
        for touched in accounts:
            while (touched.debts or touched.claims) and (follows := consequences(touched, self.now)):
                self._writing.apply(touched, follows, key_hash)
            for event in due(touched, self.now):  # what came back to a grant that had ended, before the next command
                self._writing.apply(touched, event, key_hash)

    def _may_set(self, command: SetBudget) -> None:
        """Refuse what is no budget of theirs; a new one begins a stream, and never goes on with another's."""
        may_set(self.known.budgets, command)
        if command.budget_id not in self.known.budgets.known and self._writing.streams[command.budget_id].version:
            raise errors.BudgetUnknown(budget_id=str(command.budget_id))

    def _set_budget(self, command: SetBudget, key_hash: bytes) -> None:
        event = BudgetSet(
            budget_id=command.budget_id,
            organisation_id=command.organisation_id,
            subject=command.subject,
            window=command.window,
            limit_ucr=command.limit_ucr,
        )
        budgets = self.known.budgets
        seen = budgets.known.get(command.budget_id)
        if seen is not None:
            self._writing.streams[command.budget_id] = StreamHead(seen.version, seen.hash)
        row = self._writing.add(command.budget_id, encode_event(event), key_hash)
        budget = budgets.known[command.budget_id] = budget_of(event, row.version, row.hash)
        self._writing.append.budgets = [
            *(one for one in self._writing.append.budgets if one.budget_id != budget.budget_id),
            budget,
        ]

    def _done(self, request: Request, answering: Account | None) -> Done:
        account = answering or _NOBODY
        return Done(
            position=self._writing.position,
            account_version=account.version,
            posted_ucr=account.posted_ucr,
            held_ucr=account.held_ucr,
            frozen_ucr=account.frozen_ucr,
            recorded_at=self.now,
            subject_id=request.subject_id,
        )

    def _keep(self, prepared: Prepared, verdict: Verdict, *, named: bool) -> None:
        raw = encode_verdict(verdict)
        row = VerdictRow(prepared.key_hash, prepared.digests, raw, self._writing.position)
        self._verdicts[prepared.key_hash] = row
        refusal = type(verdict) is Refused
        if named and not refusal:
            self._writing.append.verdicts.append(row)
            return
        if refusal and prepared.accounts and not named:
            self._refused[prepared.key_hash] = prepared.accounts[0]
        self._unnamed.append(row)


def replay(prepared: Prepared, seen: StoredVerdict | VerdictRow, now: datetime) -> Answer:
    """What a key has been answered; a conflict if it was sent with another body."""
    if field := conflict(seen.digests, prepared):
        return Answer(refused(errors.KeyConflict(field=field), now, prepared.request.subject_id))
    return Answer(decode_verdict(seen.verdict), replayed=True)


def _account_commands(request: Request) -> list[AccountCommand]:
    if request.command is None or type(request.command) is SetBudget:
        return []
    return [request.command, *request.linked]


def _kept(request: Request, verdict: Verdict) -> bool:
    if type(verdict) is Refused:
        return request.origin == "caller" and not verdict.transient and verdict.code != errors.InternalError.code
    return True


def _lasts(refusal: errors.Refusal) -> bool:
    """Whether a refusal is a rule's; one that may pass by itself, or a fault of ours, is not to be recorded."""
    return not refusal.transient and not isinstance(refusal, errors.InternalError)
