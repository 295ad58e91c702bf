"""SQL of customers, one named statement each."""

from __future__ import annotations

from ledger.sansio import Statement

_ORGANISATION = "organisation_id, account_id, name, created_at, account_opened_at"
_KEY = (
    "key_id, organisation_id, name, mode, last_four, scopes, created_at, expires_at, revoked_at, last_used_at,"
    " replaced_by"
)
_GOOD = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())"

INSERT_ORGANISATION = Statement(
    "insert-organisation",
    """
    INSERT INTO organisations (organisation_id, account_id, name, signup_key)
    VALUES (%(organisation_id)s, %(account_id)s, %(name)s, %(signup_key)s)
    ON CONFLICT (signup_key) DO NOTHING
    RETURNING organisation_id
    """,
)
INSERT_OWNER = Statement(
    "insert-owner",
    "INSERT INTO members (organisation_id, email, role) VALUES (%(organisation_id)s, %(email)s, 'owner')",
)
SIGNED_UP = Statement(
    "signed-up",
    f"""
    SELECT {_ORGANISATION},
           (SELECT m.email FROM members AS m
            WHERE m.organisation_id = o.organisation_id AND m.role = 'owner'
            ORDER BY m.created_at LIMIT 1) AS owner_email
    FROM organisations AS o WHERE signup_key = %(signup_key)s
    """,  # noqa: S608  constants of this file
)
ACCOUNT_OPENED = Statement(
    "account-opened",
    f"""
    UPDATE organisations SET account_opened_at = coalesce(account_opened_at, clock_timestamp())
    WHERE organisation_id = %(organisation_id)s RETURNING {_ORGANISATION}
    """,  # noqa: S608
)
ORGANISATION = Statement(
    "organisation",
    f"SELECT {_ORGANISATION} FROM organisations WHERE organisation_id = %(organisation_id)s",  # noqa: S608
)
UNFINISHED = Statement(
    "unfinished-organisations",
    f"""
    SELECT {_ORGANISATION} FROM organisations
    WHERE account_opened_at IS NULL AND created_at < clock_timestamp() - make_interval(secs => %(older_than_s)s)
    ORDER BY created_at LIMIT %(limit)s
    """,  # noqa: S608
)
LOCK_ORGANISATION = Statement(
    "lock-organisation",
    "SELECT organisation_id FROM organisations WHERE organisation_id = %(organisation_id)s FOR UPDATE",
)
COUNT_GOOD_KEYS = Statement(
    "count-good-keys",
    f"SELECT count(*) AS good FROM api_keys WHERE organisation_id = %(organisation_id)s AND {_GOOD}",  # noqa: S608
)
INSERT_KEY = Statement(
    "insert-key",
    f"""
    INSERT INTO api_keys (key_id, organisation_id, name, mode, mac, last_four, scopes, expires_at)
    VALUES (%(key_id)s, %(organisation_id)s, %(name)s, %(mode)s, %(mac)s, %(last_four)s, %(scopes)s,
            coalesce(%(expires_at)s::timestamptz, clock_timestamp() + make_interval(secs => %(lifetime_s)s)))
    RETURNING {_KEY}
    """,  # noqa: S608
)
KEY = Statement(
    "key",
    f"""
    SELECT {_KEY}, clock_timestamp() AS now
    FROM api_keys WHERE organisation_id = %(organisation_id)s AND key_id = %(key_id)s
    """,  # noqa: S608
)
REPLACE_KEY = Statement(
    "replace-key",
    f"""
    UPDATE api_keys SET replaced_by = %(replaced_by)s, expires_at = %(expires_at)s
    WHERE key_id = %(key_id)s RETURNING {_KEY}
    """,  # noqa: S608
)
REVOKE_KEY = Statement(
    "revoke-key",
    f"""
    UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp())
    WHERE organisation_id = %(organisation_id)s AND key_id = %(key_id)s RETURNING {_KEY}
    """,  # noqa: S608
)
KEYS = Statement(
    "keys",
    f"""
    SELECT {_KEY} FROM api_keys WHERE organisation_id = %(organisation_id)s
    ORDER BY ({_GOOD}) DESC, created_at DESC, key_id DESC LIMIT %(limit)s
    """,  # noqa: S608
)
_FOUND = """
    SELECT k.key_id, k.organisation_id, k.name, k.mode, k.last_four, k.scopes, k.created_at, k.expires_at,
           k.revoked_at, k.last_used_at, k.replaced_by, o.account_id, clock_timestamp() AS now
    FROM api_keys AS k INNER JOIN organisations AS o ON k.organisation_id = o.organisation_id
    """
FIND_KEY = Statement("find-key", f"{_FOUND} WHERE k.mac = %(mac)s")
FIND_KEY_BY_ID = Statement(
    "find-key-by-id", f"{_FOUND} WHERE k.organisation_id = %(organisation_id)s AND k.key_id = %(key_id)s"
)
USED = Statement(
    "key-used",
    """
    UPDATE api_keys SET last_used_at = clock_timestamp()
    WHERE key_id = %(key_id)s
    AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - make_interval(secs => %(every_s)s))
    """,
)
