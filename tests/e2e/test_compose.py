"""``compose.yaml``: it fits the schema, and what it says of our services works with the addresses of this machine.

What Docker itself does (images, networks, mounts) is not run here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from moto.server import ThreadedMotoServer
from psycopg.conninfo import conninfo_to_dict

from tallystick import schema
from tallystick import settings as settings_module
from tallystick.doctor import examine
from tallystick.embedded import folders, postgres
from tallystick.embedded.postgres import SUPERUSER, EmbeddedPostgres
from tallystick.settings import Settings, variables
from tests.conftest import SECRET
from tests.support import composed, servers
from tests.support.composed import Process
from tests.support.requirements import ROOT
from tests.support.writers import short_folder

DEPLOY = ROOT / "deploy"
RUNNING = ("writer", "api", "worker", "follower")


@pytest.fixture
def store() -> Generator[str]:
    """An S3-compatible store with the bucket that the store's script makes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client: Any = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket="tallystick")
    yield url
    server.stop()


@pytest.fixture
def socket_folder() -> Generator[Path]:
    """The volume that the writer shares with its callers."""
    with short_folder() as found:
        yield found


@pytest.fixture
def addresses(settings: Settings, store: str, tmp_path: Path, socket_folder: Path) -> dict[str, str]:
    """From what the file says to where it is here. Ports are one set a process in Docker and one set a machine here."""
    shared = {"tallystick_secret": settings.secret, "database_url": settings.database_url}
    own = {
        "tallystick": {"s3_access_key_id": "key", "s3_secret_access_key": "secret"},
        "writer": {"database_writer_url": settings.database_writer_url},
        "migrate": {"database_owner_url": settings.database_owner_url},
    }
    for name, values in own.items():
        composed.write_secrets(tmp_path / f"{name}.toml", shared | values)
    assert settings.redis_url is not None
    return {
        "/run/secrets/": f"{tmp_path}/",
        "/run/tallystick": str(socket_folder),
        "redis://redis:6379/0": settings.redis_url,
        "http://store.localhost:7070": store,
        "/tmp/": f"{tmp_path}/",
    }


@pytest.fixture
def start(addresses: dict[str, str], tmp_path: Path) -> Generator[Any]:
    """Starts services; whatever is left of them at the end is killed."""
    started: list[Process] = []
    shared = {port: str(composed.free_port()) for port in ("8000", "8188", "8189")}

    def begin(name: str) -> Process:
        ports = shared | {"9464": str(composed.free_port())}
        started.append(Process(name, addresses | ports, tmp_path))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def test_the_file_fits_the_schema_of_compose() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", composed.FILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_service_that_stays_up_has_a_health_check() -> None:
    lacking = {name for name, service in composed.services().items() if "healthcheck" not in service}
    assert lacking == {"migrate"}


def test_what_is_mounted_and_copied_is_there() -> None:
    for service in composed.services().values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source
    dockerfile = (ROOT / "Dockerfile").read_text()
    for lock in re.findall(r"requirements/\w+\.lock", dockerfile):
        assert (ROOT / lock).exists(), lock
    assert f"ENTRYPOINT {composed.ENTRYPOINT}".replace("'", '"') in dockerfile


@pytest.mark.parametrize("name", composed.ours())
def test_a_service_is_given_settings_that_exist(name: str) -> None:
    known = {variable.name for variable in variables().values()} | settings_module.OTHER_VARIABLES
    assert set(composed.ours()[name].get("environment", {})) <= known


@pytest.mark.timeout(300)
def test_our_services_start_are_healthy_and_stop_as_composed(start: Any) -> None:
    migrate = start("migrate")
    assert migrate.wait() == 0, migrate.log
    running = [start(name) for name in (*RUNNING, "standin")]
    for process in running:
        process.wait_until_healthy()
    for process in running[: len(RUNNING)]:
        assert process.stop() == 0, process.log


def test_the_secret_file_is_written_once_and_has_what_settings_read(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_bytes((DEPLOY / "make-secrets.sh").read_bytes())
    subprocess.run(["sh", script], check=True, capture_output=True)
    names = ("tallystick", "writer", "migrate")
    written = [tmp_path / "secrets" / f"{name}.toml" for name in names]
    first = [file.read_text() for file in written]
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    serving, writer, migrate = (settings_module.load({"TALLYSTICK_CONFIG": str(file)}) for file in written)
    assert serving.secret and serving.secret == writer.secret == migrate.secret
    assert serving.database_url and serving.database_url == writer.database_url and serving.s3_secret_access_key
    assert writer.database_writer_url and migrate.database_owner_url
    assert not serving.database_writer_url and not serving.database_owner_url, "who serves cannot become another"
    assert not writer.database_owner_url
    assert subprocess.run(["sh", script], check=False, capture_output=True).returncode == 1
    assert [file.read_text() for file in written] == first


class BareCluster(EmbeddedPostgres):
    """A cluster as the image makes it: nobody but the superuser."""

    def _make_roles(self) -> None:
        return


def test_the_roles_of_the_composed_database_are_those_that_doctor_wants(tmp_path: Path) -> None:
    with servers.folder_for_servers() as folder:
        cluster = BareCluster(folder, folders.service_user("nobody"))
        try:
            cluster.start()
            run_roles_script(cluster, tmp_path)
            with psycopg.connect(cluster.url(SUPERUSER)) as connection:
                found = connection.execute(
                    "SELECT rolname, rolsuper, rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid "
                    "WHERE rolname LIKE 'tallystick%' ORDER BY rolname"
                ).fetchall()
            assert found == [
                ("tallystick", False, True),
                ("tallystick_owner", False, True),
                ("tallystick_serving", False, None),
                ("tallystick_writer", False, True),
                ("tallystick_writing", False, None),
            ]
            given = Settings(
                secret=SECRET,
                data_dir=tmp_path,
                database_url=cluster.serving_url,
                database_owner_url=cluster.owner_url,
                database_writer_url=cluster.writer_url,
            )
            assert migrated_and_guarded(given)
        finally:
            cluster.stop()


def run_roles_script(cluster: EmbeddedPostgres, folder: Path) -> None:
    for file, name, role in (
        ("tallystick", "database_url", "tallystick"),
        ("migrate", "database_owner_url", "tallystick_owner"),
        ("writer", "database_writer_url", "tallystick_writer"),
    ):
        url = f"postgresql://{role}:{file}@postgres:5432/tallystick"
        composed.write_secrets(folder / f"{file}.toml", {name: url})
    environment = {
        "PATH": f"{postgres._binaries(folders.service_user('nobody'))}:{os.environ['PATH']}",
        "PGHOST": str(conninfo_to_dict(cluster.url(SUPERUSER))["host"]),
        "TALLYSTICK_SECRETS": str(folder),
    }
    subprocess.run(["sh", DEPLOY / "postgres-roles.sh"], env=environment, check=True, capture_output=True, text=True)


def migrated_and_guarded(given: Settings) -> bool:
    assert schema.migrate(given)
    wanted = {"schema", "history", "migrating role", "writing role"}
    found = {finding.name: finding.ok for finding in examine(given.with_values(redis_url="redis://127.0.0.1:1/0"))}
    return all(found[name] for name in wanted)
