"""``tallystick events`` on a real PostgreSQL."""

from __future__ import annotations

import json
from uuid import uuid4

from click.testing import CliRunner

from ledger.ids import render
from ledger.store.postgres import PostgresLedger
from tallystick.cli.group import tallystick
from tallystick.settings import Settings
from tests.support.ledger import CREDIT, hold, open_account


def test_events_are_shown_with_their_fields_named(settings: Settings, postgres_ledger: PostgresLedger) -> None:
    account_id, _ = open_account(postgres_ledger, credit=5), open_account(postgres_ledger)
    hold_id = hold(postgres_ledger, account_id, 2 * CREDIT)
    environment = {
        "DATABASE_URL": str(settings.database_url),
        "DATABASE_OWNER_URL": str(settings.database_owner_url),
        "DATABASE_WRITER_URL": str(settings.database_writer_url),
        "REDIS_URL": str(settings.redis_url),
        "TALLYSTICK_SECRET": str(settings.secret),
        "TALLYSTICK_DATA_DIR": str(settings.data_dir),
    }

    def ask(*arguments: str) -> list[dict[str, object]]:
        result = CliRunner().invoke(tallystick, ["events", *arguments], env=environment)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    last = ask("--stream", render("acc", account_id), "--after", "1")[-1]
    recorded = postgres_ledger.stream(account_id)[-1]
    assert last["hash"] == recorded.hash.hex() and last["tag"] == "ledger.credits-held.v1"
    says = last["says"]
    assert isinstance(says, dict) and (says["hold_id"], says["amount_ucr"]) == (str(hold_id), 2 * CREDIT)
    assert [event["position"] for event in ask("--after", "1", "--limit", "2")] == [2, 3]
    assert CliRunner().invoke(tallystick, ["events", "--stream", f"x_{uuid4().hex}"], env=environment).exit_code == 2
