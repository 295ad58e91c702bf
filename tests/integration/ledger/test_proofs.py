"""The tree beside the log, signed heads and proofs, on a real PostgreSQL, checked by the program that customers get."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg_pool import ConnectionPool

import ledger.proof
from ledger.domain import commands
from ledger.domain.codec import as_json, encode_event
from ledger.domain.events import BalanceAdjusted, GrantExtended
from ledger.drivers import Driver, catch_up
from ledger.proof import merkle, proofs, verify_proof
from ledger.proof.errors import BadSignature, LogDiffers, NotCovered, UnknownPosition, VaultUnavailable
from ledger.proof.exporter import HeadExporter
from ledger.proof.follower import ProofFollower
from ledger.proof.heads import Signer, check_signature
from ledger.proof.merkle import Frontier
from ledger.proof.reading import read_root, read_state
from ledger.proof.taking import take_head
from ledger.proof.verdicts import NO_VERDICTS, chained
from ledger.store.postgres import PostgresLedger
from tallystick.head_keys import HeadKeys
from tallystick.settings import Settings
from tallystick.vaults import FolderHeads
from tests.support.cli import Commands
from tests.support.histories import History, mirrored
from tests.support.ledger import CREDIT, ManualClock, done, grant, hold, open_account
from tests.support.servers import Database

VERIFIER = Path(ledger.proof.__file__).with_name("verify_proof.py")


@pytest.fixture
def driver(pool: ConnectionPool) -> Driver:
    return Driver(pool)


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def fill(url: str, steps: int, seed: int = 1) -> History:
    clock = ManualClock()
    twin, connection = mirrored(url, clock)
    history = History(twin, clock, Random(seed))
    history.play(steps)
    connection.close()
    return history


def expected(history: History) -> tuple[list[bytes], list[bytes]]:
    """Roots and verdict hashes at every size, by definition."""
    database, frontier, verdicts_hash = history.ledger.database, Frontier(), NO_VERDICTS  # type: ignore[attr-defined]
    roots, hashes = [frontier.root()], [verdicts_hash]
    last = {event.key_hash: event.position for event in database.events if event.key_hash}
    for event in database.events:
        frontier.add(event.hash)
        if last.get(event.key_hash) == event.position and event.key_hash in database.verdicts:
            stored = database.verdicts[event.key_hash]
            verdicts_hash = chained(verdicts_hash, event.position, (event.key_hash, stored.digests, stored.verdict))
        roots.append(frontier.root())
        hashes.append(verdicts_hash)
    return roots, hashes


@pytest.mark.parametrize("limit", [1, 7, 500])
def test_invariant_36_the_tree_beside_the_log_is_the_tree_of_the_log_at_every_size(
    database: Database, driver: Driver, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = fill(database.writer_url, 120)
    monkeypatch.setattr("ledger.follower.follow_once.__defaults__", (limit,))
    catch_up(driver, [ProofFollower()])
    roots, hashes = expected(history)
    for size, root in enumerate(roots):
        assert driver.drive(read_root(size)) == root, size
    assert driver.drive(read_state()) == (len(roots) - 1, hashes[-1])
    with psycopg.connect(database.serving_url) as connection:
        marks = connection.execute("SELECT nth, verdicts_hash FROM merkle_nodes WHERE level = 5").fetchall()
    assert len(marks) == (len(roots) - 1) // 32
    assert all(mark == hashes[(nth + 1) * 32] for nth, mark in marks)


def test_invariant_36_any_event_of_a_history_is_proven_under_a_later_head(
    database: Database, driver: Driver, signer: Signer
) -> None:
    history = fill(database.writer_url, 250)
    catch_up(driver, [ProofFollower()])
    signed = signer.sign(driver.drive(take_head(history.clock.now(), None)))
    for position in range(1, signed.head.size + 1):
        proof = driver.drive(proofs.event_proof(position, signed, {signer.key_id: signer.public_key}))
        words = told(proof, signer)
        assert words.startswith("proven: ") and amount_of(history, position) in words
    with pytest.raises(UnknownPosition):
        driver.drive(proofs.event_proof(signed.head.size + 1, signed, {}))


def told(proof: proofs.EventProof, signer: Signer) -> str:
    return verify_proof.verify(json.loads(proofs.encode(proof)), signer.public_key)


def amount_of(history: History, position: int) -> str:
    """The amount of an event, by the ledger's own reading."""
    facts = json.loads(as_json(history.ledger.log(after=position - 1, limit=1)[0]))
    amount_ucr = facts.get("amount_ucr", facts.get("expired_ucr", 0)) if facts["type"].startswith("ledger.") else 0
    return f", {amount_ucr / CREDIT:.6f} credits, recorded" if amount_ucr else ", no amount, "


def run_verifier(folder: Path, proof: Any, *keys: str) -> subprocess.CompletedProcess[str]:
    (folder / "proof.json").write_text(json.dumps(proof))
    (folder / "verify_proof.py").write_bytes(VERIFIER.read_bytes())
    return subprocess.run(
        [sys.executable, "-I", "verify_proof.py", "proof.json", *keys],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run(settings: Settings) -> Commands:
    return Commands(settings)


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def spend_some(postgres_ledger: PostgresLedger) -> int:
    """A debit of 2.5 credits; its position."""
    account = open_account(postgres_ledger, credit=10)
    pinned = hold(postgres_ledger, account, 3 * CREDIT)
    spent = commands.CommitHold(account_id=account, hold_id=pinned, amount_ucr=2_500_000)
    return done(postgres_ledger, spent).position


def test_invariant_36_a_customer_checks_a_statement_line_offline_in_an_empty_folder(
    run: Commands, postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    position = spend_some(postgres_ledger)
    first = answer(run("heads", "export", "--json"))
    open_account(postgres_ledger, credit=7)
    exported = answer(run("heads", "export", "--json"))
    assert exported["size"] > first["size"]
    public_key = answer(run("heads", "key", "--json"))[0]["public_key"]
    empty = tmp_path / "customer"
    empty.mkdir()
    run("proof", "verifier", "--out", empty / "verify_proof.py")
    assert (empty / "verify_proof.py").read_bytes() == VERIFIER.read_bytes()
    for proof in (
        answer(run("proof", "statement-line", position)),
        answer(run("proof", "event", position, "--since", first["size"])),
    ):
        ended = run_verifier(empty, proof, public_key)
        assert ended.returncode == 0, ended.stderr
        assert "ledger.hold-committed.v1, 2.500000 credits, recorded 20" in ended.stdout
        assert proof["event"]["stream_id"] in ended.stdout
        other = Signer(Ed25519PrivateKey.generate()).public_key.hex()
        assert run_verifier(empty, proof, other).returncode == 1
    assert len(VERIFIER.read_text().splitlines()) < 100


def shown(run: Commands, position: int, folder: Path) -> str:
    """What the customer's program says of a line of a statement."""
    proof = answer(run("proof", "statement-line", position))
    ended = run_verifier(folder, proof, answer(run("heads", "key", "--json"))[0]["public_key"])
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("keep_ucr", "words"), [(6_500_000, "3.500000 credits"), (9_999_999, "0.000001 credits")])
def test_invariant_36_a_customer_checks_what_expired_when_the_rest_rolled_over(
    run: Commands, postgres_ledger: PostgresLedger, tmp_path: Path, keep_ucr: int, words: str
) -> None:
    account = open_account(postgres_ledger)
    granted = grant(postgres_ledger, account, 10 * CREDIT, lifetime_s=3_600)
    extend = commands.ExtendGrant(account_id=account, grant_id=granted, lifetime_s=7_200, keep_ucr=keep_ucr)
    position = done(postgres_ledger, extend).position
    assert f"ledger.grant-extended.v1, {words}, recorded 20" in shown(run, position, tmp_path)


@pytest.mark.parametrize("year", [2026, 9999])
@pytest.mark.parametrize("microsecond", [0, 5])
@pytest.mark.parametrize("expired_ucr", [0, 1, 127, 128, 255, 256, 65_536, 2**32, 2**53])
def test_an_extension_is_read_whatever_its_time_and_figures_look_like(
    year: int, microsecond: int, expired_ucr: int
) -> None:
    ends = datetime(year, 1, 1, microsecond=microsecond, tzinfo=UTC)
    for kept_ucr in (0, 127, 255, 65_535, 2**32 - 1, 2**53):
        event = GrantExtended(grant_id=uuid4(), expires_at=ends, kept_ucr=kept_ucr, expired_ucr=expired_ucr)
        words = f"{expired_ucr // CREDIT}.{expired_ucr % CREDIT:06} credits" if expired_ucr else "no amount"
        assert verify_proof.amount(*encode_event(event)) == words


@pytest.mark.parametrize("amount_ucr", [-(2**40), -33, -32, -1, 1, 127, 2**40])
def test_an_adjustment_is_read_with_its_sign(amount_ucr: int) -> None:
    event = BalanceAdjusted(
        adjustment_id=uuid4(), amount_ucr=amount_ucr, cause="correction", operator_id=uuid4(), approver_id=uuid4()
    )
    sign, whole, rest = "-" * (amount_ucr < 0), *divmod(abs(amount_ucr), CREDIT)
    assert verify_proof.amount(*encode_event(event)) == f"{sign}{whole}.{rest:06} credits"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for name, entry in value.items() for found in leaves(entry, (*path, name))]
    if isinstance(value, list):
        return [found for index, entry in enumerate(value) for found in leaves(entry, (*path, index))]
    return [path]


def flipped(value: Any) -> Any:
    if value is None:
        return "01" * 16
    if isinstance(value, int):
        return value + 1
    middle = len(value) // 2
    return value[:middle] + ("0" if value[middle] != "0" else "1") + value[middle + 1 :]


def test_invariant_36_a_proof_with_any_field_flipped_is_refused(
    run: Commands, postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    position = spend_some(postgres_ledger)
    size = answer(run("heads", "export", "--json"))["size"]
    open_account(postgres_ledger, credit=7)
    run("heads", "export", "--json")
    public_key = answer(run("heads", "key", "--json"))[0]["public_key"]
    proof = answer(run("proof", "event", position, "--since", size))
    assert run_verifier(tmp_path, proof, public_key).returncode == 0
    paths = leaves(proof)
    assert len(paths) > 25
    for path in paths:
        broken = copy.deepcopy(proof)
        inner = broken
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = flipped(inner[path[-1]])
        with pytest.raises(Exception):  # noqa: B017, PT011  the program turns any of them into exit 1, as below
            verify_proof.verify(broken, bytes.fromhex(public_key))
    for path in (("event", "state"), ("head", "signature"), ("path", 0), ("later", "path", 0), ("format",)):
        broken = copy.deepcopy(proof)
        inner = broken
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = flipped(inner[path[-1]])
        ended = run_verifier(tmp_path, broken, public_key)
        assert ended.returncode == 1 and ended.stderr.startswith("NOT PROVEN"), path


def set_leaf(proof: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a proof with another value at a place."""
    changed = copy.deepcopy(proof)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def get_leaf(proof: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        proof = proof[step]
    return proof


def test_a_proof_in_which_a_text_goes_on_or_is_cut_is_refused(run: Commands, postgres_ledger: PostgresLedger) -> None:
    position = spend_some(postgres_ledger)
    size = answer(run("heads", "export", "--json"))["size"]
    open_account(postgres_ledger, credit=7)
    run("heads", "export", "--json")
    public_key = bytes.fromhex(answer(run("heads", "key", "--json"))[0]["public_key"])
    proof = answer(run("proof", "event", position, "--since", size))
    verify_proof.verify(proof, public_key)
    texts = [path for path in leaves(proof) if isinstance(get_leaf(proof, path), str)]
    assert len(texts) > 20
    for path in texts:
        text = get_leaf(proof, path)
        for other in (text + "deadbeef", text + "00", text[:-2]):
            with pytest.raises(Exception):  # noqa: B017, PT011  the program turns any of them into exit 1
                verify_proof.verify(set_leaf(proof, path, other), public_key)


def test_a_proof_names_the_account_that_was_hashed_and_no_other_writing_of_it(
    run: Commands, postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    proof = answer(run("proof", "event", spend_some(postgres_ledger)))
    public_key = answer(run("heads", "key", "--json"))[0]["public_key"]
    account = proof["event"]["stream_id"]
    assert f"account acc_{account}, event" in run_verifier(tmp_path, proof, public_key).stdout
    for other in (f"{account} ", f"{account[:8]}\n{account[8:]}", f" {account}", account + "deadbeef"):
        ended = run_verifier(tmp_path, set_leaf(proof, ("event", "stream_id"), other), public_key)
        assert ended.returncode == 1 and ended.stderr.startswith("NOT PROVEN"), other


def test_a_position_that_is_no_line_of_a_statement_is_refused(run: Commands, postgres_ledger: PostgresLedger) -> None:
    open_account(postgres_ledger, credit=1)
    assert run("proof", "statement-line", 1).exit_code == 1
    assert run("proof", "statement-line", 2).exit_code == 0
    assert run("proof", "event", 3).exit_code == 1


def test_a_proof_since_the_last_head_is_one_and_has_a_later_head_once_the_log_goes_on(
    run: Commands, postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    position = spend_some(postgres_ledger)
    size = answer(run("heads", "export", "--json"))["size"]
    public_key = answer(run("heads", "key", "--json"))[0]["public_key"]
    alone = run("proof", "event", position, "--since", size)
    assert "has not gone on" in alone.stderr
    assert answer(alone)["head"]["size"] == size and answer(alone)["later"] is None
    assert run_verifier(tmp_path, answer(alone), public_key).returncode == 0
    same = answer(alone) | {"later": {"path": [], "head": answer(alone)["head"]}}
    assert "is no later one" in run_verifier(tmp_path, same, public_key).stderr
    open_account(postgres_ledger)
    proof = answer(run("proof", "event", position, "--since", size))
    assert proof["later"]["head"]["size"] == size + 1
    assert run_verifier(tmp_path, proof, public_key).returncode == 0


def test_a_proof_over_two_keys_is_checked_under_both_and_not_under_one(
    run: Commands, postgres_ledger: PostgresLedger, tmp_path: Path
) -> None:
    position = spend_some(postgres_ledger)
    size = answer(run("heads", "export", "--json"))["size"]
    run("heads", "key", "--rotate")
    open_account(postgres_ledger)
    run("heads", "export", "--json")
    made = run("proof", "event", position, "--since", size)
    proof, keys = answer(made), {one["signs"]: one for one in answer(run("heads", "key", "--json"))}
    old, new = keys[False], keys[True]
    assert old["key_id"] in made.stderr and new["key_id"] in made.stderr
    assert run_verifier(tmp_path, proof, old["public_key"], new["public_key"]).returncode == 0
    assert run_verifier(tmp_path, proof, new["public_key"], old["public_key"]).returncode == 0
    alone = run_verifier(tmp_path, proof, old["public_key"])
    assert alone.returncode == 1 and f"the key {new['key_id']}, which was not given" in alone.stderr
    alone = run_verifier(tmp_path, proof, new["public_key"])
    assert alone.returncode == 1 and f"the key {old['key_id']}, which was not given" in alone.stderr
    other = Signer(Ed25519PrivateKey.generate()).public_key.hex()
    assert run_verifier(tmp_path, proof, old["public_key"], other).returncode == 1
    assert run_verifier(tmp_path, proof).returncode == 1


def test_a_proof_since_a_head_that_does_not_cover_the_event_is_refused(
    run: Commands, postgres_ledger: PostgresLedger
) -> None:
    spend_some(postgres_ledger)
    size = answer(run("heads", "export", "--json"))["size"]
    open_account(postgres_ledger)
    told = run("proof", "event", size + 1, "--since", size)
    assert told.exit_code == 1 and f"name a head of at least {size + 1} events" in told.output
    told = run("proof", "event", 1, "--since", size + 1)
    assert told.exit_code == 1 and f"no head of size {size + 1} was exported; the nearest are of {size}" in told.output


@pytest.mark.parametrize("longer", [0, 5])
def test_a_proof_since_a_head_of_a_log_that_was_lost_is_refused(
    run: Commands, postgres_ledger: PostgresLedger, settings: Settings, longer: int
) -> None:
    spend_some(postgres_ledger)
    size = answer(run("heads", "export", "--json"))["size"]
    kept = FolderHeads(settings.data_dir / "heads")
    signed = kept.last()
    assert signed is not None
    lost = msgspec.structs.replace(signed.head, size=size + longer, root=bytes(32))
    kept.append(HeadKeys(settings.data_dir / "head-keys").signer(make=False).sign(lost))
    told = run("proof", "event", 1, "--since", size + longer)
    assert told.exit_code == 1 and "see tallystick recover" in told.output


def test_one_head_is_proven_to_go_on_from_another(run: Commands, postgres_ledger: PostgresLedger) -> None:
    spend_some(postgres_ledger)
    found = answer(run("proof", "consistency", 2, 4))
    path, roots = [bytes.fromhex(one) for one in found["path"]], (found["first_root"], found["second_root"])
    assert merkle.consistent(2, 4, path, *map(bytes.fromhex, roots))
    assert found["head"]["size"] == 4
    assert run("proof", "consistency", 2, 5).exit_code == 1
    assert run("proof", "consistency", 4, 2).exit_code == 2


def exporter(driver: Driver, folder: Path, clock: Any, signer: Signer) -> HeadExporter:
    return HeadExporter(driver, FolderHeads(folder), signer, clock)


def test_invariant_38_heads_are_only_ever_added_to_files_outside_the_database(
    database: Database, driver: Driver, signer: Signer, tmp_path: Path
) -> None:
    history = fill(database.writer_url, 10)
    catch_up(driver, [ProofFollower()])
    kept = exporter(driver, tmp_path, history.clock, signer)
    first = kept.export()
    history.clock.pass_s(60)
    second = kept.export()
    history.clock.pass_s(24 * 3600)
    third = kept.export()
    assert list(FolderHeads(tmp_path).heads()) == [first, second, third]
    assert len(list(tmp_path.iterdir())) == 2, "a file a day"
    for head in (first, second, third):
        check_signature(head, {signer.key_id: signer.public_key})
    with pytest.raises(BadSignature):
        check_signature(first, {})


def test_a_gap_between_heads_is_an_alarm(
    database: Database, driver: Driver, signer: Signer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = fill(database.writer_url, 10)
    catch_up(driver, [ProofFollower()])
    kept = exporter(driver, tmp_path, history.clock, signer)
    kept.export()
    history.clock.pass_s(60)
    kept.export()
    assert not caplog.records
    assert kept.age_s() == 0
    history.clock.pass_s(3_600)
    assert kept.age_s() == 3_600
    kept.export()
    assert "no head was kept for 3600 s" in caplog.text


def test_invariant_36_no_head_is_signed_for_a_log_that_does_not_go_on_from_the_last(
    database: Database, driver: Driver, signer: Signer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = fill(database.writer_url, 10)
    catch_up(driver, [ProofFollower()])
    kept = exporter(driver, tmp_path, history.clock, signer)
    kept.export()
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("ALTER TABLE events DISABLE TRIGGER events_never_change")
        connection.execute("UPDATE events SET hash = sha256(hash) WHERE notification_id = 3")
    with pytest.raises(LogDiffers):
        kept.export()
    kept.export_or_tell()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert len(list(FolderHeads(tmp_path).heads())) == 1


def test_a_tree_that_is_being_rebuilt_is_waited_for(
    database: Database, driver: Driver, signer: Signer, tmp_path: Path, run: Commands
) -> None:
    history = fill(database.writer_url, 40)
    catch_up(driver, [ProofFollower()])
    kept = exporter(driver, tmp_path, history.clock, signer)
    before = kept.export()
    with psycopg.connect(database.serving_url) as connection:
        connection.execute("DELETE FROM merkle_nodes")
        connection.execute("DELETE FROM proof_state")
        connection.execute("UPDATE followers SET position = 0 WHERE name = 'proof'")
    with pytest.raises(NotCovered):
        kept.export()
    assert run("follow", "--rebuild", "proof").exit_code == 0
    assert kept.export().head.root == before.head.root


def test_a_line_that_was_cut_while_it_was_written_counts_for_nothing(
    database: Database, driver: Driver, signer: Signer, tmp_path: Path
) -> None:
    history = fill(database.writer_url, 10)
    catch_up(driver, [ProofFollower()])
    first = exporter(driver, tmp_path, history.clock, signer).export()
    with next(iter(tmp_path.iterdir())).open("ab") as file:
        file.write(b'{"size":5,"ro')
    assert FolderHeads(tmp_path).last() == first
    again = exporter(driver, tmp_path, history.clock, signer).export()
    assert list(FolderHeads(tmp_path).heads()) == [first, again]


def test_a_folder_that_cannot_be_written_is_an_alarm_and_no_crash(
    database: Database, driver: Driver, signer: Signer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = fill(database.writer_url, 10)
    catch_up(driver, [ProofFollower()])
    (tmp_path / "taken").write_text("a file where a folder should be")
    kept = exporter(driver, tmp_path / "taken", history.clock, signer)
    with pytest.raises(VaultUnavailable):
        kept.export()
    kept.export_or_tell()
    assert kept.age_s() is None
    assert "no head is kept" in caplog.text


class Meanwhile:
    """Stands where a signal would stop a command: at each pause the next thing happens; behind the last it ends."""

    def __init__(self, *things: Callable[[], object]) -> None:
        self._things = iter(things)

    def wait(self, _seconds: float) -> bool:
        """Let it happen; whether the command is to end."""
        thing = next(self._things, None)
        if thing is not None:
            thing()
        return thing is None


def test_heads_that_are_exported_again_and_again_outlast_their_place_and_the_database(
    database: Database, postgres_ledger: PostgresLedger, run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_account(postgres_ledger)
    place, aside = tmp_path / "kept", tmp_path / "aside"

    def take_the_place() -> None:
        place.rename(aside)
        place.write_text("a file where a folder should be")

    def give_it_back() -> None:
        place.unlink()
        aside.rename(place)

    def end_sessions() -> None:
        with psycopg.connect(database.superuser_url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [database.name],
            )

    things = Meanwhile(take_the_place, give_it_back, end_sessions, lambda: None)
    monkeypatch.setattr("tallystick.cli.commands.heads.until_stopped", lambda: things)
    ended = run("heads", "export", "--to", place, "--every", 1, "--json")
    assert ended.exit_code == 0, ended.output
    told = [line for line in ended.stderr.splitlines() if line.startswith("no head is kept, trying again: ")]
    assert len(told) == 2 and "cannot be written" in told[0]
    assert len(ended.stdout.splitlines()) == len(list(FolderHeads(place).heads())) == 3
    (tmp_path / "taken").write_text("a file where a folder should be")
    assert run("heads", "export", "--to", tmp_path / "taken").exit_code == 1, "once alone it is not tried again"


def test_heads_of_a_rotated_key_stay_verifiable(tmp_path: Path) -> None:
    keys = HeadKeys(tmp_path / "keys")
    old = keys.signer(make=True)
    assert keys.signer(make=False).key_id == old.key_id
    assert (tmp_path / "keys" / "private.pem").stat().st_mode & 0o777 == 0o600
    new = keys.rotate()
    assert new.key_id != old.key_id
    assert keys.keyring() == {old.key_id: old.public_key, new.key_id: new.public_key}
