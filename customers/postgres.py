"""``customers.ports.CustomerStore`` on PostgreSQL.

Making and rotating keys locks the organisation's row first, so that the count of its keys holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from customers import limits
from customers import statements as sql
from customers.domain.keys import ApiKey, end_of_overlap
from customers.domain.organisations import Organisation
from customers.errors import KeyUnknown, OrganisationUnknown, TooManyKeys
from customers.ports import Claimed, FoundKey, NewKey, NewOrganisation, Rotated
from ledger.sansio import Row, Statement


class PostgresStore:
    """Organisations, members and keys in their tables."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def claim_organisation(self, new: NewOrganisation) -> Claimed:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            if _rows(connection, sql.INSERT_ORGANISATION, msgspec.structs.asdict(new)) and new.owner_email:
                owner = {"organisation_id": new.organisation_id, "email": new.owner_email}
                _rows(connection, sql.INSERT_OWNER, owner)
            (row,) = _rows(connection, sql.SIGNED_UP, {"signup_key": new.signup_key})
            owner_email: str | None = row.pop("owner_email")
            return Claimed(Organisation(**row), owner_email)

    def account_opened(self, organisation_id: UUID) -> Organisation:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            (row,) = _rows(connection, sql.ACCOUNT_OPENED, {"organisation_id": organisation_id})
            return Organisation(**row)

    def organisation(self, organisation_id: UUID) -> Organisation | None:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            rows = _rows(connection, sql.ORGANISATION, {"organisation_id": organisation_id})
            return Organisation(**rows[0]) if rows else None

    def unfinished(self, older_than_s: float, limit: int) -> list[Organisation]:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            rows = _rows(connection, sql.UNFINISHED, {"older_than_s": older_than_s, "limit": limit})
            return [Organisation(**row) for row in rows]

    def add_key(self, key: NewKey) -> ApiKey:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            _lock(connection, key.organisation_id)
            return _insert(connection, key, expires_at=None)

    def rotate_key(self, organisation_id: UUID, key_id: UUID, successor: NewKey, overlap_s: int) -> Rotated:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            _lock(connection, organisation_id)
            rows = _rows(connection, sql.KEY, {"organisation_id": organisation_id, "key_id": key_id})
            if not rows:
                raise KeyUnknown
            now: datetime = rows[0].pop("now")
            old = _key(rows[0])
            ends_at = end_of_overlap(old, now, overlap_s)
            new = _insert(connection, successor, expires_at=old.expires_at)
            params = {"key_id": key_id, "replaced_by": new.key_id, "expires_at": ends_at}
            (row,) = _rows(connection, sql.REPLACE_KEY, params)
            return Rotated(_key(row), new)

    def revoke_key(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            rows = _rows(connection, sql.REVOKE_KEY, {"organisation_id": organisation_id, "key_id": key_id})
            if not rows:
                raise KeyUnknown
            return _key(rows[0])

    def key(self, organisation_id: UUID, key_id: UUID) -> ApiKey | None:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            rows = _rows(connection, sql.KEY, {"organisation_id": organisation_id, "key_id": key_id})
            return _key(rows[0]) if rows else None

    def keys(self, organisation_id: UUID, limit: int) -> list[ApiKey]:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            rows = _rows(connection, sql.KEYS, {"organisation_id": organisation_id, "limit": limit})
            return [_key(row) for row in rows]

    def find_key(self, mac: bytes) -> FoundKey | None:
        """See ``CustomerStore``."""
        return self._find(sql.FIND_KEY, {"mac": mac})

    def find_key_by_id(self, organisation_id: UUID, key_id: UUID) -> FoundKey | None:
        """See ``CustomerStore``."""
        return self._find(sql.FIND_KEY_BY_ID, {"organisation_id": organisation_id, "key_id": key_id})

    def used(self, key_id: UUID, every_s: int) -> None:
        """See ``CustomerStore``."""
        with self._pool.connection() as connection:
            _rows(connection, sql.USED, {"key_id": key_id, "every_s": every_s})

    def _find(self, statement: Statement, params: Mapping[str, Any]) -> FoundKey | None:
        with self._pool.connection() as connection:
            rows = _rows(connection, statement, params)
            return FoundKey(_key(rows[0]), rows[0]["account_id"], rows[0]["now"]) if rows else None


def _rows(connection: Connection[Any], statement: Statement, params: Mapping[str, Any]) -> list[Row]:
    cursor = connection.cursor(row_factory=dict_row).execute(statement.sql.encode(), params)
    return cursor.fetchall() if cursor.description else []


def _lock(connection: Connection[Any], organisation_id: UUID) -> None:
    """Take the organisation's row and check that one more key fits.

    :raises OrganisationUnknown, TooManyKeys: as they say.
    """
    params = {"organisation_id": organisation_id}
    if not _rows(connection, sql.LOCK_ORGANISATION, params):
        raise OrganisationUnknown
    if _rows(connection, sql.COUNT_GOOD_KEYS, params)[0]["good"] >= limits.KEYS_MAX:
        raise TooManyKeys(keys_max=limits.KEYS_MAX)


def _insert(connection: Connection[Any], key: NewKey, *, expires_at: datetime | None) -> ApiKey:
    params = msgspec.structs.asdict(key) | {"scopes": list(key.scopes), "expires_at": expires_at}
    (row,) = _rows(connection, sql.INSERT_KEY, params)
    return _key(row)


def _key(row: Row) -> ApiKey:
    fields: dict[str, Any] = {name: row[name] for name in ApiKey.__struct_fields__}
    fields["scopes"] = tuple(row["scopes"])
    return ApiKey(**fields)
