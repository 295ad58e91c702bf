"""What a command writes, it writes in one transaction: when that fails, no table has changed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from ledger.domain import commands
from ledger.domain.codec import NewEvent
from ledger.domain.verdicts import Refused
from ledger.ports import Companion
from ledger.store.postgres import PostgresLedger
from tests.support.ledger import CREDIT, done, grant, hold, open_account, request
from tests.support.servers import Database

POISON = "test.poison.v1"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"


def tables(database: Database) -> dict[str, str]:
    """A digest of each table's rows."""
    with psycopg.connect(database.owner_url) as connection:
        names = [name for (name,) in connection.execute(TABLES).fetchall()]
        query = sql.SQL("SELECT md5(COALESCE(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t")
        found: dict[str, Any] = {}
        for name in sorted(names):
            row = connection.execute(query.format(sql.Identifier(name))).fetchone()
            assert row is not None
            found[name] = row[0]
        return found


def test_invariant_15_a_command_that_fails_while_it_is_written_leaves_every_table_as_it_was(
    database: Database, postgres_ledger: PostgresLedger
) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(sql.SQL("ALTER TABLE events ADD CHECK (topic <> {})").format(sql.Literal(POISON)))
    organisation_id, account_id, budget_id = uuid4(), uuid4(), uuid4()
    done(postgres_ledger, commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
    grant(postgres_ledger, account_id, 5 * CREDIT)
    other = open_account(postgres_ledger, credit=1)
    budget = commands.SetBudget(
        budget_id=budget_id, organisation_id=organisation_id, subject="key", window="day", limit_ucr=9 * CREDIT
    )
    done(postgres_ledger, budget, scope_id=organisation_id)
    hold_id = hold(postgres_ledger, account_id, CREDIT, budgets=(budget_id,))
    before = tables(database)
    writing = request(
        commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT),
        linked=(
            commands.DebitCredits(
                account_id=account_id, debit_id=uuid4(), amount_ucr=4 * CREDIT, reason="x", budgets=(budget_id,)
            ),
            commands.DebitCredits(account_id=other, debit_id=uuid4(), amount_ucr=CREDIT, reason="x"),
        ),
        on_accept=(
            Companion(uuid4(), 0, (NewEvent("test.job.v1", b"{}"),)),
            Companion(uuid4(), 0, (NewEvent(POISON, b"{}"),)),
        ),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    verdict = postgres_ledger.submit(writing).verdict
    assert isinstance(verdict, Refused) and verdict.code == "internal-error"
    assert tables(database) == before and {"events", "holds", "account_states"} <= set(before)
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("ALTER TABLE events DROP CONSTRAINT events_topic_check")
    done(postgres_ledger, writing.command or budget, writing.key, linked=writing.linked, on_accept=writing.on_accept)
    after = tables(database)
    assert {"events", "holds", "account_states"} <= {name for name in before if before[name] != after[name]}
