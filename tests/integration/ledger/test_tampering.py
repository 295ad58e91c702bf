"""Whatever is done to the stored ledger behind its back, at random places: ``verify`` finds it, and says where."""

from __future__ import annotations

from collections.abc import Callable, Generator
from random import Random
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from ledger.checks import replay as replaying
from ledger.checks import rows as checking_rows
from ledger.domain import commands
from ledger.domain.account import decode_account, encode_account
from ledger.domain.codec import RecordedEvent
from ledger.domain.verdicts import Answer, Done, Refused, decode_verdict, encode_verdict
from ledger.drivers import Driver, catch_up, fetch
from ledger.follower import READ
from ledger.proof.follower import ProofFollower
from ledger.proof.heads import Head
from ledger.proof.statements import SNAPSHOT as PROOF_SNAPSHOT
from ledger.proof.taking import take_head
from ledger.sansio import Core, Run
from ledger.verify import SNAPSHOT, Report, verify
from ledger.writer import appending
from ledger.writer.chain import GENESIS, expected_hash
from tallystick.embedded.postgres import EmbeddedPostgres
from tests.support import servers
from tests.support.histories import History, mirrored
from tests.support.ledger import ManualClock, request

STEPS = 420
PLACES = 4


class Kept(History):
    """Half of its requests come from outside, so that their refusals are kept; budgets and reversals come in, too."""

    def submit(self, command: commands.Command, **more: Any) -> Answer:
        more = {"origin": self.dice.choice(["caller", "system"])} | more
        if isinstance(command, commands.HoldCredits | commands.DebitCredits) and self.dice.random() < 0.3:
            command = msgspec.structs.replace(command, budgets=(self._budget(command.account_id),))
        return self.ledger.submit(request(command, **more))

    def _budget(self, account_id: UUID) -> UUID:
        organisation_id = self.organisations[account_id]
        budget_id = UUID(bytes=organisation_id.bytes[::-1], version=4)
        self.ledger.submit(
            request(
                commands.SetBudget(
                    budget_id=budget_id,
                    organisation_id=organisation_id,
                    subject="project",
                    window="day",
                    limit_ucr=self.dice.choice([None, 10**12]),
                ),
                scope_id=organisation_id,
            )
        )
        return budget_id


class World(NamedTuple):
    """One history for all tests; each tampers in a transaction that is rolled back."""

    connection: psycopg.Connection[Any]
    heads: list[Head]
    size: int

    def one(self, query: str, *params: Any) -> Any:
        """First row of a query."""
        row: Any = self.connection.cursor(row_factory=tuple_row).execute(query.encode(), params).fetchone()
        assert row is not None, query
        return row if len(row) > 1 else row[0]

    def do(self, query: str, *params: Any) -> None:
        """Change what must be one row or more."""
        assert self.connection.execute(query.encode(), params).rowcount > 0, query

    def verify(self, heads: list[Head]) -> Report:
        """Verify inside the transaction."""
        return run(verify(heads), self.connection)


def run(core: Core[Any], connection: psycopg.Connection[Any]) -> Any:
    try:
        effect = next(core)
        while True:
            assert isinstance(effect, Run)
            answer: list[Any] = []
            if effect.statement not in {SNAPSHOT, PROOF_SNAPSHOT}:
                try:
                    answer = fetch(connection, effect.statement, effect.params)
                except psycopg.Error as error:
                    effect = core.throw(error)
                    continue
            effect = core.send(answer)
    except StopIteration as end:
        return end.value


@pytest.fixture(scope="module")
def played(postgres_server: EmbeddedPostgres) -> Generator[World]:
    patch = pytest.MonkeyPatch()
    for module in (appending, replaying):
        patch.setattr(module, "SNAPSHOT_EVERY", 16)
    with servers.database_from(postgres_server, servers.MIGRATED) as database:
        clock = ManualClock()
        twin, writing = mirrored(database.writer_url, clock)
        history = Kept(twin, clock, Random(7))
        heads: list[Head] = []
        with ConnectionPool(database.serving_url, min_size=1, max_size=1, open=True) as pool:
            driver = Driver(pool)
            for _ in range(6):
                history.play(STEPS // 6)
                catch_up(driver, [ProofFollower()])
                heads.append(driver.drive(take_head(clock.now(), None)))
        writing.close()
        connection = psycopg.connect(database.superuser_url)
        connection.execute("ALTER TABLE events DISABLE TRIGGER events_never_change")
        connection.commit()
        yield World(connection, heads, twin.head())
        connection.close()
    patch.undo()


@pytest.fixture
def world(played: World) -> Generator[World]:
    yield played
    played.connection.rollback()


Found = tuple[int, int]
Tamper = Callable[[World, Random], Found | None]


def at(position: int) -> Found:
    return position, position


def event(world: World, dice: Random) -> int:
    return dice.randint(1, world.size)


def set_event(assignment: str) -> Tamper:
    def tamper(world: World, dice: Random) -> Found:
        position = event(world, dice)
        world.do(f"UPDATE events SET {assignment} WHERE notification_id = %s", position)
        return at(position)

    return tamper


def flip(column: str) -> str:
    return f"{column} = set_byte({column}, length({column}) / 2, get_byte({column}, length({column}) / 2) # 1)"


def delete_event(world: World, dice: Random) -> Found:
    position = dice.randint(1, world.size - 1)
    world.do("DELETE FROM events WHERE notification_id = %s", position)
    return at(position)


def delete_tail(world: World, dice: Random) -> Found:
    """The request that wrote the first of them may have begun a few events before."""
    position = world.size - dice.randint(0, 30)
    world.do("DELETE FROM events WHERE notification_id >= %s", position)
    return position - 8, position


def delete_tail_and_move_the_head(world: World, dice: Random) -> Found:
    position = world.size - dice.randint(0, 30)
    world.do("DELETE FROM events WHERE notification_id >= %s", position)
    world.do(
        "UPDATE log_head SET position = e.notification_id, hash = e.hash FROM events AS e WHERE e.notification_id = %s",
        position - 1,
    )
    return position - 40, world.size


def insert_at_the_end(world: World, dice: Random) -> Found:
    world.do(
        """
        INSERT INTO events (originator_id, originator_version, topic, state, notification_id, recorded_at, effective_at,
                            hash)
        SELECT %s, 1, topic, state, %s, recorded_at, effective_at, hash FROM events WHERE notification_id = %s
        """,
        uuid4(),
        world.size + 1,
        event(world, dice),
    )
    return at(world.size + 1)


def insert_in_between(world: World, dice: Random) -> Found:
    position = event(world, dice)
    world.do("UPDATE events SET notification_id = -notification_id - 1 WHERE notification_id >= %s", position)
    world.do("UPDATE events SET notification_id = -notification_id WHERE notification_id < 0")
    world.do(
        """
        INSERT INTO events (originator_id, originator_version, topic, state, notification_id, recorded_at, effective_at,
                            hash)
        SELECT %s, 1, topic, state, %s, recorded_at, effective_at, hash FROM events WHERE notification_id = %s
        """,
        uuid4(),
        position,
        position + 1,
    )
    return at(position)


def swap_events(world: World, dice: Random) -> Found:
    first, second = sorted(dice.sample(range(1, world.size + 1), 2))
    world.do("UPDATE events SET notification_id = -1 WHERE notification_id = %s", first)
    world.do("UPDATE events SET notification_id = %s WHERE notification_id = %s", first, second)
    world.do("UPDATE events SET notification_id = %s WHERE notification_id = -1", second)
    return at(first)


def a_verdict(world: World, dice: Random, kind: type = Done) -> tuple[int, UUID, Any]:
    rows = world.connection.execute(
        "SELECT position, key_hash, verdict FROM verdicts ORDER BY position, key_hash"
    ).fetchall()
    position, key, raw = dice.choice([row for row in rows if isinstance(decode_verdict(row[2]), kind)])
    return position, key, decode_verdict(raw)


def is_sealed(world: World, position: int) -> bool:
    return world.one("SELECT topic FROM events WHERE notification_id = %s", position) == "ledger.log.verdicts-sealed.v1"


def block(position: int) -> Found:
    first = position - (position - 1) % 32
    return first, first + 31


def set_done(**changes: Callable[[Any], Any]) -> Tamper:
    """Edit a field of an accepted verdict. Another version may by chance be that of another account."""

    def tamper(world: World, dice: Random) -> Found:
        position, key, verdict = a_verdict(world, dice)
        edited = {name: change(getattr(verdict, name)) for name, change in changes.items()}
        raw = encode_verdict(msgspec.structs.replace(verdict, **edited))
        world.do("UPDATE verdicts SET verdict = %s WHERE key_hash = %s", raw, key)
        exact = is_sealed(world, position) or not {"subject_id", "account_version"} & set(changes)
        return at(position) if exact else block(position)

    return tamper


def edit_digests(world: World, dice: Random) -> Found:
    position, key, _ = a_verdict(world, dice)
    world.do("UPDATE verdicts SET digests = digests || decode('00', 'hex') WHERE key_hash = %s", key)
    return at(position) if is_sealed(world, position) else block(position)


def edit_refusal(world: World, dice: Random) -> Found:
    position, key, verdict = a_verdict(world, dice, Refused)
    raw = encode_verdict(msgspec.structs.replace(verdict, code="made-up", facts={}))
    world.do("UPDATE verdicts SET verdict = %s WHERE key_hash = %s", raw, key)
    return at(position)


def accept_a_refusal(world: World, dice: Random) -> Found:
    position, key, _ = a_verdict(world, dice, Refused)
    _, _, done = a_verdict(world, dice)
    world.do("UPDATE verdicts SET verdict = %s WHERE key_hash = %s", encode_verdict(done), key)
    return at(position)


def delete_verdict(world: World, dice: Random) -> Found:
    position, key, _ = a_verdict(world, dice, kind=msgspec.Struct)
    world.do("DELETE FROM verdicts WHERE key_hash = %s", key)
    return at(position)


def delete_last_verdict(world: World, _: Random) -> Found:
    last = world.one("SELECT max(position) FROM verdicts")
    world.do("DELETE FROM verdicts WHERE position = %s", last)
    return at(last)


def move_verdict(world: World, dice: Random) -> Found:
    position, key, _ = a_verdict(world, dice, kind=msgspec.Struct)
    other = event(world, dice)
    while other == position:
        other = event(world, dice)
    world.do("UPDATE verdicts SET position = %s WHERE key_hash = %s", other, key)
    return at(min(position, other))


def add_verdict(world: World, dice: Random) -> Found:
    position = event(world, dice)
    _, _, done = a_verdict(world, dice)
    world.do("INSERT INTO verdicts VALUES (%s, %s, '', %s)", uuid4(), position, encode_verdict(done))
    return at(position)


def swap_verdicts(world: World, dice: Random) -> Found:
    (first, key, one), (second, other_key, other) = a_verdict(world, dice), a_verdict(world, dice)
    while second == first:
        second, other_key, other = a_verdict(world, dice)
    world.do("UPDATE verdicts SET verdict = %s WHERE key_hash = %s", encode_verdict(other), key)
    world.do("UPDATE verdicts SET verdict = %s WHERE key_hash = %s", encode_verdict(one), other_key)
    return at(min(first, second))


def state_row(table: str, assignment: str, where: str = "TRUE", position: str = "0", delete: bool = False) -> Tamper:
    """Change or delete a random row of a table; ``position`` says in SQL where the finding belongs."""

    def tamper(world: World, dice: Random) -> Found | None:
        count = world.one(f"SELECT count(*) FROM {table} AS t WHERE {where}")
        assert count, f"the history has no such row in {table}"
        skip = dice.randrange(count)
        row, found = world.one(
            f"SELECT t.ctid, {position} FROM {table} AS t WHERE {where} ORDER BY t.ctid OFFSET %s LIMIT 1", skip
        )
        verb = f"DELETE FROM {table}" if delete else f"UPDATE {table} SET {assignment}"
        world.do(f"{verb} WHERE ctid = %s", row)
        return at(found)

    return tamper


def added(insert: str) -> Tamper:
    def tamper(world: World, dice: Random) -> Found:
        world.do(insert)
        return at(0)

    return tamper


END = "(SELECT max(notification_id) FROM events AS e WHERE e.originator_id = t.{})"
ACCOUNT_END, BUDGET_END = END.format("account_id"), END.format("budget_id")
ENDED = """
NOT EXISTS (
    SELECT FROM account_states AS a
    WHERE a.account_id = t.account_id AND position(uuid_send(t.grant_id) IN a.state) > 0
)
"""


def node(assignment: str, where: str = "TRUE", *, delete: bool = False) -> Tamper:
    def tamper(world: World, dice: Random) -> Found:
        rows = world.connection.execute(f"SELECT level, nth FROM merkle_nodes WHERE {where}".encode()).fetchall()
        level, nth = dice.choice(rows)
        verb = "DELETE FROM merkle_nodes" if delete else f"UPDATE merkle_nodes SET {assignment}"
        world.do(f"{verb} WHERE level = %s AND nth = %s", level, nth)
        return at((nth << level) + 1)

    return tamper


def signed_head(world: World, dice: Random) -> Found:
    head = dice.choice(world.heads)
    world.do(
        "INSERT INTO signed_heads VALUES (%s, %s, %s, %s, now(), 'x', %s)",
        head.size,
        bytes(32),
        head.log_hash,
        head.verdicts_hash,
        bytes(64),
    )
    return 1, head.size


KINDS: dict[str, Tamper] = {
    "a byte of an event": set_event(flip("state")),
    "a byte of a hash": set_event(flip("hash")),
    "an event's tag": set_event("topic = topic || 'x'"),
    "when it was recorded": set_event("recorded_at = recorded_at + interval '1 microsecond'"),
    "when it takes effect": set_event("effective_at = effective_at - interval '1 day'"),
    "an event's key": set_event("key_hash = gen_random_uuid()"),
    "an event's key removed": lambda world, dice: (
        set_event("key_hash = NULL")(world, dice)
        if world.one("SELECT count(*) FROM events WHERE key_hash IS NULL") == 0
        else set_event("key_hash = gen_random_uuid()")(world, dice)
    ),
    "an event's stream": set_event("originator_id = gen_random_uuid()"),
    "an event's version": set_event("originator_version = originator_version + 100000"),
    "an event deleted": delete_event,
    "the last events deleted": delete_tail,
    "the last events deleted with the head": delete_tail_and_move_the_head,
    "an event added at the end": insert_at_the_end,
    "an event added in between": insert_in_between,
    "two events swapped": swap_events,
    "a verdict's posted": set_done(posted_ucr=lambda value: value + 1),
    "a verdict's held": set_done(held_ucr=lambda value: value + 1),
    "a verdict's frozen": set_done(frozen_ucr=lambda value: value + 1),
    "a verdict's version": set_done(account_version=lambda value: value + 1),
    "a verdict's position": set_done(position=lambda value: value - 1),
    "a verdict's time": set_done(recorded_at=lambda value: value.replace(microsecond=123)),
    "a verdict's subject": set_done(subject_id=lambda _value: uuid4()),
    "a verdict's digests": edit_digests,
    "a refusal edited": edit_refusal,
    "a refusal turned into a yes": accept_a_refusal,
    "a verdict removed": delete_verdict,
    "the last verdict removed": delete_last_verdict,
    "a verdict moved": move_verdict,
    "a verdict added": add_verdict,
    "two verdicts swapped": swap_verdicts,
    "an account's state": state_row("account_states", flip("state"), position=ACCOUNT_END),
    "an account's hash": state_row("account_states", flip("hash"), position=ACCOUNT_END),
    "an account's version": state_row("account_states", "version = version + 1", position=ACCOUNT_END),
    "an account's organisation": state_row(
        "account_states", "organisation_id = gen_random_uuid()", position=ACCOUNT_END
    ),
    "when an account is due": state_row(
        "account_states", "next_due_at = coalesce(next_due_at, now()) + interval '1 s'", position=ACCOUNT_END
    ),
    "an account due at infinity": state_row("account_states", "next_due_at = 'infinity'"),
    "an event recorded at infinity": set_event("recorded_at = 'infinity'"),
    "a snapshot of infinity": state_row("account_snapshots", "recorded_at = '-infinity'", position="t.position"),
    "an account's row removed": state_row("account_states", "", position=ACCOUNT_END, delete=True),
    "an account added": added(
        "INSERT INTO account_states SELECT gen_random_uuid(), organisation_id, version, format, hash, state, "
        "next_due_at FROM account_states LIMIT 1"
    ),
    "an account of the nil id added": added(
        f"INSERT INTO account_states SELECT '{UUID(int=0)}', organisation_id, version, format, hash, state, "
        "next_due_at FROM account_states LIMIT 1"
    ),
    "a hold's amount": state_row("holds", "amount_ucr = amount_ucr + 1", position="t.opened_position"),
    "a hold's slices": state_row("holds", flip("slices"), position="t.opened_position"),
    "a hold's lease": state_row("holds", "lease_until = lease_until + interval '1 s'", position="t.opened_position"),
    "a hold's account": state_row("holds", "account_id = gen_random_uuid()", position="t.opened_position"),
    "a hold ended": state_row(
        "holds",
        "state = 'released', remaining_ucr = 0, resolved_at = now()",
        "state = 'open'",
        "t.opened_position",
    ),
    "a hold removed": state_row("holds", "", position="t.opened_position", delete=True),
    "a hold added": added(
        "INSERT INTO holds SELECT gen_random_uuid(), account_id, state, amount_ucr, committed_ucr, remaining_ucr, "
        "lease_until, opened_at, resolved_at, opened_position, reference, slices FROM holds LIMIT 1"
    ),
    "a hold of the nil id added": added(
        f"INSERT INTO holds SELECT '{UUID(int=0)}', account_id, state, amount_ucr, committed_ucr, remaining_ucr, "
        "lease_until, opened_at, resolved_at, opened_position, reference, slices FROM holds LIMIT 1"
    ),
    "an ended grant": state_row("grants", flip("state"), ENDED, ACCOUNT_END),
    "an ended grant removed": state_row("grants", "", ENDED, ACCOUNT_END, delete=True),
    "an ended grant added": added(
        "INSERT INTO grants SELECT account_id, gen_random_uuid(), format, state FROM grants LIMIT 1"
    ),
    "an ended grant of the nil ids added": added(
        f"INSERT INTO grants SELECT '{UUID(int=0)}', '{UUID(int=0)}', format, state FROM grants LIMIT 1"
    ),
    "a snapshot": state_row("account_snapshots", flip("state"), position="t.position"),
    "a snapshot's position": state_row(
        "account_snapshots",
        "position = position + 1",
        "position > (SELECT min(position) FROM account_snapshots)",
        "t.position",
    ),
    "a snapshot removed": state_row(
        "account_snapshots", "", "position > (SELECT min(position) FROM account_snapshots)", "t.position", delete=True
    ),
    "a snapshot added": added(
        "INSERT INTO account_snapshots SELECT account_id, version + 1, position, recorded_at, format, state "
        "FROM account_snapshots LIMIT 1"
    ),
    "a budget's limit": state_row("budgets", "limit_ucr = 17", position=BUDGET_END),
    "a budget removed": state_row("budgets", "", position=BUDGET_END, delete=True),
    "a budget of the nil id added": added(
        f"INSERT INTO budgets (budget_id, organisation_id, version, hash, subject, window_kind, limit_ucr) "
        f"SELECT '{UUID(int=0)}', organisation_id, version, hash, subject, window_kind, limit_ucr FROM budgets LIMIT 1"
    ),
    "what is used of a budget": state_row("budget_usage", "used_ucr = used_ucr + 1", position=BUDGET_END),
    "a window of a budget removed": state_row("budget_usage", "", position=BUDGET_END, delete=True),
    "a window of a budget added": added(
        "INSERT INTO budget_usage SELECT gen_random_uuid(), window_start, used_ucr FROM budget_usage LIMIT 1"
    ),
    "a stored subtree": node(flip("hash")),
    "a stored subtree removed": node("", delete=True),
    "a stored subtree added": added("INSERT INTO merkle_nodes VALUES (40, 0, decode(repeat('00', 32), 'hex'), NULL)"),
    "a mark over verdicts": node(flip("verdicts_hash"), "level = 5"),
    "a head kept in the database": signed_head,
}


def test_invariant_36_what_nobody_touched_is_clean(world: World) -> None:
    report = world.verify(world.heads)
    assert report.findings == () and report.events == world.size
    assert report.verdicts == world.one("SELECT count(*) FROM verdicts")
    assert world.one("SELECT count(*) FROM account_snapshots") > 10
    for table in ("grants", "budgets", "budget_usage", "holds"):
        assert world.one(f"SELECT count(*) FROM {table}") > 0, table
    assert world.one("SELECT count(*) FROM events WHERE topic = 'ledger.log.verdicts-sealed.v1'") > 10


@pytest.mark.parametrize("place", range(PLACES))
@pytest.mark.parametrize("kind", KINDS)
def test_invariant_36_any_tampering_is_found_where_it_is(world: World, kind: str, place: int) -> None:
    expected = KINDS[kind](world, Random(f"{kind} {place}"))
    findings = world.verify([]).findings
    assert findings, "nothing was found"
    assert expected is not None
    low, high = expected
    until = findings[0].until or findings[0].position
    assert low <= findings[0].position <= high, (findings, expected)
    assert until <= max(high, low + 31) or kind.startswith(("a stored subtree", "a head")), (findings, expected)


def rewrite(world: World, position: int) -> None:
    """Change an event and make everything in the database fit again: what only a head kept elsewhere can tell."""
    events: list[RecordedEvent] = fetch(world.connection, READ, {"after": 0, "limit": world.size})
    log_hash, streams = GENESIS, dict[UUID, bytes]()
    for one in events:
        changed = one
        if one.position == position:
            changed = one._replace(effective_at=one.effective_at.replace(microsecond=7))
        digest = expected_hash(changed, stream_hash=streams.get(one.stream_id, GENESIS), log_hash=log_hash)
        log_hash = streams[one.stream_id] = digest
        if one.position >= position:
            world.do(
                "UPDATE events SET effective_at = %s, hash = %s WHERE notification_id = %s",
                changed.effective_at,
                digest,
                one.position,
            )
    world.do("UPDATE log_head SET hash = %s", log_hash)
    for account_id, state in world.connection.execute("SELECT account_id, state FROM account_states").fetchall():
        account = decode_account(state)
        account.hash = streams[account_id]
        world.do(
            "UPDATE account_states SET hash = %s, state = %s WHERE account_id = %s",
            account.hash,
            encode_account(account),
            account_id,
        )
    for budget_id in [row[0] for row in world.connection.execute("SELECT budget_id FROM budgets").fetchall()]:
        world.do("UPDATE budgets SET hash = %s WHERE budget_id = %s", streams[budget_id], budget_id)
    for table in ("account_snapshots", "merkle_nodes", "proof_state"):
        world.do(f"DELETE FROM {table}")


@pytest.mark.parametrize("place", range(PLACES))
def test_invariant_36_a_history_rewritten_without_a_seam_is_told_by_exported_heads(world: World, place: int) -> None:
    position = Random(place).randint(1, world.heads[-1].size)
    rewrite(world, position)
    assert world.verify([]).findings == (), "without a head from elsewhere there is nothing to compare with"
    finding = world.verify(world.heads).findings[0]
    assert finding.until is not None and finding.position <= position <= finding.until
    before = [head.size for head in world.heads if head.size < position]
    assert finding.position == max(before, default=0) + 1


def test_invariant_36_a_tail_cut_without_a_seam_is_told_by_an_exported_head(world: World) -> None:
    """A stream of its own at the end of the log goes, with all that says that it was there."""
    last = world.size
    world.do(
        """
        INSERT INTO events (originator_id, originator_version, topic, state, notification_id, recorded_at, effective_at,
                            hash)
        SELECT gen_random_uuid(), 1, 'x.y.v1', '', %s, recorded_at, recorded_at, '' FROM log_head
        """,
        last + 1,
    )
    (event,) = fetch(world.connection, READ, {"after": last, "limit": 1})
    log_hash = world.one("SELECT hash FROM log_head")
    digest = expected_hash(event, stream_hash=GENESIS, log_hash=log_hash)
    world.do("UPDATE events SET hash = %s WHERE notification_id = %s", digest, last + 1)
    world.do("UPDATE log_head SET position = %s, hash = %s", last + 1, digest)
    world.do("UPDATE followers SET position = 0")
    run_fold(world)
    with_tail = run(take_head_here(world), world.connection)
    assert world.verify([with_tail]).findings == ()
    world.do("DELETE FROM events WHERE notification_id = %s", last + 1)
    world.do("UPDATE log_head SET position = %s, hash = %s", last, log_hash)
    world.do("DELETE FROM merkle_nodes")
    world.do("DELETE FROM proof_state")
    assert world.verify([]).findings == ()
    finding = world.verify([*world.heads, with_tail]).findings[0]
    assert (finding.position, finding.until) == (last + 1, last + 1)


def run_fold(world: World) -> None:
    world.do("DELETE FROM merkle_nodes")
    world.do("DELETE FROM proof_state")
    events = fetch(world.connection, READ, {"after": 0, "limit": 10**6})
    run(cast("Core[None]", ProofFollower().fold(events)), world.connection)


def take_head_here(world: World) -> Core[Head]:
    """Without its commit."""
    taking = take_head(world.one("SELECT recorded_at FROM log_head"), None)
    answer: Any = None
    while True:
        try:
            effect = taking.send(answer)
        except StopIteration as end:
            return end.value
        answer = (yield effect) if isinstance(effect, Run) else None


@pytest.mark.parametrize("page", [1, 7])
def test_rows_of_state_are_compared_in_pages_of_any_length(
    world: World, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(checking_rows, "PAGE", page)
    assert world.verify([]).findings == ()
    world.do("DELETE FROM holds WHERE hold_id = (SELECT max(hold_id::text)::uuid FROM holds)")
    assert "its row is missing" in world.verify([]).findings[0].what
