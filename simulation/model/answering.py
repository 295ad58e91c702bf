"""Whole requests and batches on the model: keys, versions, streams of others, all or none, seals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from ledger import limits
from ledger.domain.commands import AccountCommand, SetBudget, TransferCredits
from ledger.domain.verdicts import Answer, Done, Refused, Verdict
from ledger.ports import Companion, Request
from simulation.model.deciding import decide
from simulation.model.grants import expire_due
from simulation.model.past import Past
from simulation.model.state import Book, Fact, No

SEALS = UUID(int=1)
Key = tuple[UUID, str, str]
Body = Mapping[str, Any]
TRANSIENT = frozenset({"version-conflict", "stream-conflict", "too-many-refusals", "clock-skew", "upgrade-needed"})


@dataclass(slots=True)
class Kept:
    """What is known of a key for ever."""

    body: Body
    verdict: Verdict


@dataclass(slots=True)
class Model:
    """The book with its keys. ``foreign`` accounts hold what this release cannot read."""

    book: Book = field(default_factory=Book)
    keys: dict[Key, Kept] = field(default_factory=dict[Key, Kept])
    refusals: dict[tuple[UUID, date], int] = field(default_factory=dict[tuple[UUID, date], int])
    foreign: set[UUID] = field(default_factory=set[UUID])
    past: Past = field(default_factory=Past)

    def batch(self, requests: Sequence[Request], clock: datetime, own_clock: datetime) -> list[Answer]:
        """Answer a batch that was read at these clocks; the book moves on."""
        self.book.fresh = []
        if skew := self._skew(clock, own_clock):
            return [Answer(_refused(No("clock-skew", skew_ms=skew), clock, one)) for one in requests]
        now = max(clock, self.book.recorded_at + timedelta(microseconds=1))
        batch = _Batch(self, now)
        answers = [batch.handle(request) for request in requests]
        batch.seal(requests, answers)
        if self.book.fresh:
            self.book.recorded_at = now
        return answers

    def given_up(self, request: Request, clock: datetime) -> Answer:
        """What is answered to a request that cannot be written: what its key was told, if it was written after all."""
        seen = self.keys.get(key_of(request))
        if seen is not None and not request.dry_run:
            return _again(seen, request, clock)
        return Answer(
            Refused(code="internal-error", facts={}, transient=False, recorded_at=clock, subject_id=request.subject_id)
        )

    def _skew(self, clock: datetime, own_clock: datetime) -> int:
        apart, ahead = abs(clock - own_clock), self.book.recorded_at - clock
        if apart > timedelta(seconds=limits.CLOCK_SKEW_MAX_S) or ahead > timedelta(seconds=limits.HEAD_AHEAD_MAX_S):
            return int(max(apart, ahead).total_seconds() * 1000)
        return 0


class _Batch:
    """One batch while it is answered. ``loose`` are kept verdicts that no event names."""

    def __init__(self, model: Model, now: datetime) -> None:
        self._model = model
        self._now = now
        self._loose: list[Key] = []
        self._counted: dict[Key, UUID] = {}

    @property
    def _book(self) -> Book:
        return self._model.book

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        key = key_of(request)
        seen = self._model.keys.get(key)
        if seen is not None and not request.dry_run:
            return _again(seen, request, self._now)
        self._named = False
        self._book.moved = []
        try:
            verdict: Verdict = self._do(request)
        except No as no:
            verdict = _refused(no, self._now, request)
        if not request.dry_run:
            self._remember(request)
        if not request.dry_run and _kept(request, verdict):
            self._model.keys[key] = Kept(body_of(request), verdict)
            if isinstance(verdict, Refused) or not self._named:
                self._loose.append(key)
            account_ids = accounts_of(request)
            if isinstance(verdict, Refused) and account_ids and not self._named:
                self._counted[key] = account_ids[0]
        return Answer(verdict)

    def _remember(self, request: Request) -> None:
        past = self._model.past
        past.keep(self._book, accounts_of(request), holds_of(request), self._now)
        for move in self._book.moved:
            past.move(*move)

    def _do(self, request: Request) -> Done:
        for account_id in accounts_of(request):
            if account_id in self._model.foreign:
                raise No("upgrade-needed", account_id=str(account_id))
        if request.dry_run:
            return self._try(request)
        self._expire(self._book, request)
        _must_follow(self._book, request.on_accept)
        trial = self._book.fork(accounts_of(request)) if request.linked or request.on_accept else self._book
        before = len(trial.fresh)
        try:
            self._decide(trial, request)
        except No as no:
            self._on_refusal(request, no)
            raise
        self._model.book = trial
        self._append(request.on_accept)
        self._named = len(trial.fresh) > before
        return self._done(trial, request)

    def _try(self, request: Request) -> Done:
        trial = self._book.fork(accounts_of(request))
        self._expire(trial, request)
        _must_follow(self._book, request.on_accept)
        self._decide(trial, request)
        return msgspec.structs.replace(self._done(trial, request), position=self._book.position)

    def _expire(self, book: Book, request: Request) -> None:
        for account_id in accounts_of(request):
            if (account := book.accounts.get(account_id)) is not None:
                before = account.posted
                expire_due(book, account, self._now)
                book.moved.append((account_id, self._now, account.posted - before))

    def _decide(self, trial: Book, request: Request) -> None:
        expected = request.expected_account_version
        if expected is not None and accounts_of(request):
            version = trial.versions.get(accounts_of(request)[0], 0)
            if version != expected:
                raise No("version-conflict", expected_version=expected, account_version=version)
        asked = [] if request.command is None else [request.command, *request.linked]
        for index, command in enumerate(asked):
            try:
                decide(trial, command, self._now)
            except No as no:
                if request.linked:
                    no.facts["linked_index"] = index
                raise

    def _on_refusal(self, request: Request, no: No) -> None:
        if no.code in TRANSIENT:
            return
        _must_follow(self._book, request.on_refuse)
        self._append(request.on_refuse)
        self._named = bool(request.on_refuse) and request.origin == "caller"

    def _append(self, companions: Sequence[Companion]) -> None:
        for companion in companions:
            for event in companion.events:
                self._book.note(companion.stream_id, event.tag)

    def _done(self, book: Book, request: Request) -> Done:
        account_ids = accounts_of(request)
        account = book.accounts[account_ids[0]] if account_ids else None
        return Done(
            position=book.position,
            account_version=book.versions[account.account_id] if account else 0,
            posted_ucr=account.posted if account else 0,
            held_ucr=account.held if account else 0,
            frozen_ucr=account.in_dispute if account else 0,
            recorded_at=self._now,
            subject_id=request.subject_id,
        )

    def seal(self, requests: Sequence[Request], answers: list[Answer]) -> None:
        """One event covers the verdicts that no other names; what is too many in a day is not kept."""
        for key in list(self._loose):
            account_id = self._counted.get(key)
            if account_id is None:
                continue
            day = (account_id, self._now.date())
            if self._model.refusals.get(day, 0) < limits.REFUSALS_KEPT_PER_ACCOUNT_DAY:
                self._model.refusals[day] = self._model.refusals.get(day, 0) + 1
            else:
                self._drop(key, requests, answers)
        if self._loose:
            self._book.note(SEALS, "ledger.log.verdicts-sealed.v1")
            self._model.past.keep(self._book, (), (), self._now)

    def _drop(self, key: Key, requests: Sequence[Request], answers: list[Answer]) -> None:
        self._loose.remove(key)
        del self._model.keys[key]
        no = No("too-many-refusals", kept_max=limits.REFUSALS_KEPT_PER_ACCOUNT_DAY)
        for index, request in enumerate(requests):
            if key_of(request) == key and not request.dry_run:
                answers[index] = Answer(_refused(no, self._now, request))


def _again(seen: Kept, request: Request, now: datetime) -> Answer:
    if name := differing(seen.body, body_of(request)):
        return Answer(_refused(No("idempotency-key-conflict", field=name), now, request))
    return Answer(seen.verdict, replayed=True)


def _must_follow(book: Book, companions: Sequence[Companion]) -> None:
    coming = Counter[UUID]()
    for companion in companions:
        version = book.versions.get(companion.stream_id, 0) + coming[companion.stream_id]
        coming[companion.stream_id] += len(companion.events)
        if version != companion.after_version:
            raise No(
                "stream-conflict",
                stream_id=str(companion.stream_id),
                expected_version=companion.after_version,
                stream_version=version,
            )


def _refused(no: No, now: datetime, request: Request) -> Refused:
    facts: dict[str, Fact] = dict(no.facts)
    return Refused(
        code=no.code, facts=facts, transient=no.code in TRANSIENT, recorded_at=now, subject_id=request.subject_id
    )


def _kept(request: Request, verdict: Verdict) -> bool:
    return isinstance(verdict, Done) or (request.origin == "caller" and not verdict.transient)


def accounts_of(request: Request) -> tuple[UUID, ...]:
    """The accounts that a request names, the one that answers first."""
    if request.command is None or isinstance(request.command, SetBudget):
        return ()
    asked: list[AccountCommand] = [request.command, *request.linked]
    found: dict[UUID, None] = {}
    for command in asked:
        found[command.account_id] = None
        if isinstance(command, TransferCredits):
            found[command.to_account_id] = None
    return tuple(found)


def holds_of(request: Request) -> tuple[UUID, ...]:
    """The holds and debits that a request names."""
    asked = [] if request.command is None else [request.command, *request.linked]
    named = [getattr(one, "hold_id", None) or getattr(one, "debit_id", None) for one in asked]
    return tuple(one for one in named if one is not None)


def key_of(request: Request) -> Key:
    """What names a request for ever."""
    account_ids = accounts_of(request)
    scope_id = request.scope_id or (account_ids[0] if account_ids else None)
    assert scope_id is not None
    return (scope_id, request.operation, request.key)


def body_of(request: Request) -> Body:
    """What a repeat is compared by."""
    if request.body is not None:
        return request.body
    if request.command is None:
        return {}
    body = _fields(request.command)
    for index, command in enumerate(request.linked, 1):
        body |= {f"linked.{index}.{name}": value for name, value in _fields(command).items()}
        body[f"linked.{index}.type"] = type(command).__name__
    return body


def _fields(command: Struct) -> dict[str, Any]:
    """What was asked beyond the defaults, without ids that we mint."""
    minted: frozenset[str] = getattr(command, "minted", frozenset())
    asked = {field.name: getattr(command, field.name) for field in structs.fields(command)}
    defaults = {field.name: field.default for field in structs.fields(command)}
    return {name: value for name, value in asked.items() if name not in minted and value != defaults[name]}


def differing(before: Body, now: Body) -> str | None:
    """The first field sent, by name, that was not sent before; ``body`` where only less was sent."""
    if before == now:
        return None
    return next((name for name in sorted(now) if name not in before or before[name] != now[name]), "body")
