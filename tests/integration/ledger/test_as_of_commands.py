"""``tallystick balance`` and ``tallystick statement --at`` on a real PostgreSQL."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from click.testing import CliRunner, Result

from ledger.domain import commands
from ledger.ids import render
from ledger.ports import Balance
from ledger.store.postgres import PostgresLedger
from tallystick.cli.group import tallystick
from tallystick.settings import Settings
from tests.support.ledger import CREDIT, done, grant, hold, open_account


def invoke(settings: Settings, *arguments: object) -> Result:
    environment = {
        "DATABASE_URL": str(settings.database_url),
        "DATABASE_OWNER_URL": str(settings.database_owner_url),
        "REDIS_URL": str(settings.redis_url),
        "TALLYSTICK_SECRET": str(settings.secret),
        "TALLYSTICK_DATA_DIR": str(settings.data_dir),
    }
    return CliRunner().invoke(tallystick, [str(one) for one in arguments], env=environment)


def told(settings: Settings, *arguments: object) -> Any:
    result = invoke(settings, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_balance_is_told_as_of_each_kind_of_point(settings: Settings, postgres_ledger: PostgresLedger) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    account = render("acc", account_id)
    hold(postgres_ledger, account_id, 4 * CREDIT)
    position = postgres_ledger.head()
    recorded_at = postgres_ledger.stream(account_id)[-1].recorded_at
    meant = recorded_at - timedelta(days=3)
    grant(postgres_ledger, account_id, 2 * CREDIT, effective_at=meant)
    assert told(settings, "balance", account)["available"] == "8"
    for point in (("--at-position", position), ("--at", recorded_at.isoformat())):
        found = told(settings, "balance", account, *point)
        assert (found["posted"], found["held"], found["log_position"]) == ("10", "4", position)
    found = told(settings, "balance", account, "--effective", meant.isoformat())
    assert (found["posted"], found["log_position"]) == ("2", position + 1)
    text = invoke(settings, "balance", account, "--at-position", position).stdout
    assert "available     6\n" in text and "4 in 1 open holds" in text and "never ends" in text


def test_a_balance_tells_where_held_and_frozen_credits_lie(settings: Settings, postgres_ledger: PostgresLedger) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    hold(postgres_ledger, account_id, 4 * CREDIT)
    (found,) = balance_of(postgres_ledger, account_id).grants
    done(postgres_ledger, commands.FreezeGrant(account_id=account_id, grant_id=found.grant_id, reason="dispute"))
    account, position = render("acc", account_id), postgres_ledger.head()
    for point in ((), ("--at-position", position)):
        (shown,) = told(settings, "balance", account, *point)["grants"]
        assert (shown["free"], shown["held"], shown["frozen"], shown["granted"]) == ("0", "4", "6", "10")
        text = invoke(settings, "balance", account, *point).stdout
        assert " 0 free, 4 held, 6 frozen of 10, never ends" in text


def test_a_grant_that_has_ended_and_is_held_of_is_said_to_have_ended(
    settings: Settings, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger)
    grant(postgres_ledger, account_id, 2 * CREDIT, lifetime_s=3)
    hold(postgres_ledger, account_id, CREDIT)
    while balance_of(postgres_ledger, account_id).available_ucr:
        time.sleep(0.05)
    text = invoke(settings, "balance", render("acc", account_id)).stdout
    assert " 0 free, 1 held of 2, ended 20" in text


def balance_of(ledger: PostgresLedger, account_id: UUID) -> Balance:
    found = ledger.balance(account_id)
    assert found is not None
    return found


def test_points_that_cannot_be_are_refused_in_words(settings: Settings, postgres_ledger: PostgresLedger) -> None:
    account = render("acc", open_account(postgres_ledger))
    for arguments, words in (
        ((account, "--at-position", 99), "ends at 1"),
        ((account, "--at", "2200-01-01T00:00:00Z"), "a time that has come"),
        ((account, "--at", "2026-01-01T00:00:00"), "such as"),
        ((account, "--at-position", 1, "--at", "2026-01-01T00:00:00Z"), "exclude each other"),
        (("job_1",), "expected acc_"),
    ):
        result = invoke(settings, "balance", *arguments)
        assert result.exit_code == 2 and words in result.output, result.output
    result = invoke(settings, "balance", render("acc", uuid4()))
    assert result.exit_code == 1 and "there is no acc_" in result.output


def test_a_statement_ends_at_a_time(settings: Settings, postgres_ledger: PostgresLedger) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    balance = postgres_ledger.balance(account_id)
    assert balance is not None
    at = postgres_ledger.stream(account_id)[-1].recorded_at
    done(
        postgres_ledger,
        commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="fee"),
    )
    asked = ("statement", "--organisation", render("org", balance.organisation_id))
    assert [line["kind"] for line in told(settings, *asked)["lines"]] == ["grant", "debit"]
    assert [line["kind"] for line in told(settings, *asked, "--at", at.isoformat())["lines"]] == ["grant"]
