"""Settings: every mistake at once, by name, with what is expected, and no secret in any text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.errors import SettingsError
from tallystick.settings import Settings, load, variables

SECRET = "0123456789abcdef0123456789abcdef"
SERVED = {"DATABASE_URL": "postgresql://a:b@host/db", "TALLYSTICK_SECRET": SECRET}


def mistakes(environment: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environment)
    return caught.value.mistakes


def test_nothing_set_means_everything_embedded() -> None:
    found = load({})
    assert found.embeds_postgres and found.embeds_redis
    assert found.data_dir == Path.cwd() / ".tallystick"
    assert not found.sandbox


def test_all_mistakes_are_named_at_once_with_what_is_expected() -> None:
    found = mistakes(
        {
            "TALLYSTICK_PORT": "many",
            "DATABASE_URL": "mysql://x",
            "TALLYSTICK_SANDBOX": "perhaps",
            "TALLYSTICK_PROT": "1",
        }
    )
    assert [line.split(":")[0] for line in found] == [
        "TALLYSTICK_PROT",
        "DATABASE_URL",
        "TALLYSTICK_PORT",
        "TALLYSTICK_SANDBOX",
        "TALLYSTICK_SECRET",
    ]
    assert "expected TALLYSTICK_PORT?" in found[0]
    assert "expected an address like postgresql://" in found[1]
    assert "expected a whole number from 0 to 65535, got 'many'" in found[2]


@pytest.mark.parametrize("name", ["TALLYSTICK_SECRET", "DATABASE_URL"])
def test_a_hidden_value_is_in_no_message(name: str) -> None:
    assert "hunter2" not in "".join(mistakes({name: "hunter2"}))
    assert SECRET not in repr(load(SERVED))


def test_an_empty_variable_counts_as_absent() -> None:
    assert load({"DATABASE_URL": "", "TALLYSTICK_PORT": ""}) == load({})


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DATABASE_URL": "postgresql://host/db"}, "TALLYSTICK_SECRET"),
        ({"DATABASE_OWNER_URL": "postgresql://host/db"}, "DATABASE_URL"),
        ({"TALLYSTICK_SANDBOX": "1", "STRIPE_API_KEY": "sk_live_x"}, "TALLYSTICK_SANDBOX"),
        ({"TALLYSTICK_SANDBOX": "1", "STRIPE_API_KEY": "rk_live_x"}, "TALLYSTICK_SANDBOX"),
        ({"TALLYSTICK_SANDBOX": "1", "TALLYSTICK_LIVE": "1"}, "TALLYSTICK_SANDBOX"),
        ({"S3_ACCESS_KEY_ID": "a"}, "S3_SECRET_ACCESS_KEY"),
        ({"S3_SECRET_ACCESS_KEY": "a"}, "S3_ACCESS_KEY_ID"),
        ({"LNBITS_URL": "https://a.example"}, "LNBITS_INVOICE_KEY"),
    ],
)
def test_what_is_wrong_only_together_is_refused(environment: dict[str, str], named: str) -> None:
    assert [line.split(":")[0] for line in mistakes(environment)] == [named]


def test_the_sandbox_may_stand_beside_test_keys() -> None:
    assert load({"TALLYSTICK_SANDBOX": "true", "STRIPE_API_KEY": "sk_test_x"}).sandbox


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tallystick.toml"
    file.write_text('tallystick_port = 1\ntallystick_sandbox = true\ncomfyui_nodes = ["http://a:1", "http://b:2/"]\n')
    found = load({"TALLYSTICK_CONFIG": str(file), "TALLYSTICK_PORT": "2"})
    assert (found.port, found.sandbox, found.comfyui_nodes) == (2, True, ("http://a:1", "http://b:2"))


@pytest.mark.parametrize(
    ("content", "part"),
    [("tallystick_prot = 1", "expected tallystick_port?"), ("not toml", "expected a readable TOML file")],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, content: str, part: str) -> None:
    file = tmp_path / "tallystick.toml"
    file.write_text(content)
    (found,) = mistakes({"TALLYSTICK_CONFIG": str(file)})
    assert part in found


def test_a_missing_file_is_named() -> None:
    (found,) = mistakes({"TALLYSTICK_CONFIG": "/nowhere/x.toml"})
    assert "/nowhere/x.toml" in found


@pytest.mark.parametrize("address", ["http://host:99999", "http://[::1", "https://", "host:80", "http://host/?q=1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    (found,) = mistakes({"TALLYSTICK_PUBLIC_URL": address})
    assert found.startswith("TALLYSTICK_PUBLIC_URL: expected an address")


def test_keys_for_different_purposes_differ_and_stay() -> None:
    found = Settings(secret=SECRET)
    assert found.key_for("api-keys") == Settings(secret=SECRET).key_for("api-keys")
    assert len({found.key_for("api-keys"), found.key_for("links"), Settings(secret=SECRET + "x").key_for("links")}) == 3


def test_every_setting_says_what_it_is_and_every_secret_is_hidden() -> None:
    for variable in variables().values():
        assert variable.meaning
        if any(part in variable.name for part in ("SECRET", "KEY", "PASSWORD")):
            assert variable.hidden, variable.name
