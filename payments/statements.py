"""Named SQL of payments. Units: amounts ``_minor`` in minor units, ``_micro`` in 10⁻⁶ of the book currency."""

from __future__ import annotations

from ledger.sansio import Statement

LOCK_SLOTS = Statement(
    "payments-lock-slots",
    "SELECT pg_advisory_xact_lock(hashtextextended('topup-slots:' || %(account_id)s::text, 0))",
)
FIND_SLOT = Statement(
    "payments-find-slot",
    "SELECT topup_id FROM topup_slots WHERE account_id = %(account_id)s AND key_hash = %(key_hash)s",
)
COUNT_SLOTS = Statement(
    "payments-count-slots",
    """
    SELECT count(*) AS taken FROM topup_slots AS slot
    WHERE slot.account_id = %(account_id)s AND slot.held_until > clock_timestamp()
      AND NOT EXISTS (
          SELECT 1 FROM topups WHERE topups.topup_id = slot.topup_id AND topups.state IN ('credited', 'failed')
      )
    """,
)
TAKE_SLOT = Statement(
    "payments-take-slot",
    """
    INSERT INTO topup_slots (account_id, key_hash, topup_id, held_until)
    VALUES (%(account_id)s, %(key_hash)s, %(topup_id)s, %(held_until)s)
    """,
)

STORE_NOTIFICATION = Statement(
    "payments-store-notification",
    """
    INSERT INTO rail_inbox (rail, external_id, ref, source, raw)
    VALUES (%(rail)s, %(external_id)s, %(ref)s, 'notification', %(raw)s)
    ON CONFLICT (rail, external_id) DO NOTHING
    RETURNING notification_id
    """,
)
STORE_SWEPT = Statement(
    "payments-store-swept",
    """
    INSERT INTO rail_inbox (rail, external_id, ref, source, raw)
    VALUES (%(rail)s, %(external_id)s, %(ref)s, 'sweep', '')
    ON CONFLICT (rail, external_id) DO NOTHING
    """,
)
CLAIM_NOTIFICATIONS = Statement(
    "payments-claim-notifications",
    """
    UPDATE rail_inbox AS inbox
    SET claimed_until = clock_timestamp() + make_interval(secs => %(lease_s)s), attempts = inbox.attempts + 1
    FROM (
        SELECT notification_id FROM rail_inbox
        WHERE handled_at IS NULL AND claimed_until <= clock_timestamp()
        ORDER BY claimed_until, notification_id LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE inbox.notification_id = due.notification_id
    RETURNING inbox.notification_id, inbox.rail, inbox.ref, inbox.attempts, clock_timestamp() AS now
    """,
)
MARK_HANDLED = Statement(
    "payments-mark-handled",
    """
    UPDATE rail_inbox SET handled_at = clock_timestamp(), outcome = %(outcome)s, detail = %(detail)s
    WHERE notification_id = %(notification_id)s AND handled_at IS NULL
    """,
)
POSTPONE = Statement(
    "payments-postpone",
    """
    UPDATE rail_inbox
    SET claimed_until = clock_timestamp() + make_interval(secs => %(pause_s)s), detail = %(detail)s
    WHERE notification_id = %(notification_id)s AND handled_at IS NULL
    """,
)
INBOX_STATE = Statement(
    "payments-inbox-state",
    """
    SELECT count(*) FILTER (WHERE handled_at IS NULL) AS waiting,
           count(*) FILTER (WHERE outcome = 'needs-human') AS needs_human,
           coalesce(
               extract(EPOCH FROM clock_timestamp() - min(received_at) FILTER (WHERE handled_at IS NULL)), 0
           )::float8 AS oldest_s
    FROM rail_inbox
    """,
)

DUE_CHARGES = Statement(
    "payments-due-charges",
    """
    UPDATE charges
    SET next_look_at = clock_timestamp()
        + greatest(make_interval(secs => %(interval_s)s), (clock_timestamp() - charges.opened_at) * 0.1)
    FROM (
        SELECT rail, ref FROM charges
        WHERE watched AND next_look_at <= clock_timestamp()
        ORDER BY next_look_at LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE charges.rail = due.rail AND charges.ref = due.ref
    RETURNING charges.rail, charges.ref, charges.expires_at <= clock_timestamp() AS window_closed
    """,
)
UNOPENED_TOPUPS = Statement(
    "payments-unopened-topups",
    """
    SELECT topup_id FROM topups
    WHERE charges = 0 AND quote_expires_at > clock_timestamp()
      AND opened_at < clock_timestamp() - make_interval(secs => %(after_s)s)
    ORDER BY opened_at LIMIT %(limit)s
    """,
)
ADD_CURSOR = Statement(
    "payments-add-cursor",
    "INSERT INTO rail_cursors (rail, token) VALUES (%(rail)s, '') ON CONFLICT (rail) DO NOTHING",
)
READ_CURSOR = Statement("payments-read-cursor", "SELECT token FROM rail_cursors WHERE rail = %(rail)s")
MOVE_CURSOR = Statement(
    "payments-move-cursor",
    """
    UPDATE rail_cursors SET token = %(token)s, moved_at = clock_timestamp()
    WHERE rail = %(rail)s AND token = %(before)s
    """,
)

READ_TOPUPS = Statement(
    "payments-read-topups",
    "SELECT topup_id, state_format, folded FROM topups WHERE topup_id = ANY(%(topup_ids)s)",
)
LIST_TOPUPS = Statement(
    "payments-list-topups",
    """
    SELECT folded FROM topups
    WHERE organisation_id = %(organisation_id)s AND position < %(before)s
    ORDER BY position DESC LIMIT %(limit)s
    """,
)
UPSERT_TOPUP = Statement(
    "payments-upsert-topup",
    """
    INSERT INTO topups (
        topup_id, organisation_id, account_id, rail, state, flags, credited_ucr, currency, gross_minor, charges,
        opened_at, quote_expires_at, position, version, state_format, folded
    ) VALUES (
        %(topup_id)s, %(organisation_id)s, %(account_id)s, %(rail)s, %(state)s, %(flags)s, %(credited_ucr)s,
        %(currency)s, %(gross_minor)s, %(charges)s, %(opened_at)s, %(quote_expires_at)s, %(position)s, %(version)s,
        %(state_format)s, %(folded)s
    )
    ON CONFLICT (topup_id) DO UPDATE SET
        state = excluded.state, flags = excluded.flags, credited_ucr = excluded.credited_ucr,
        charges = excluded.charges, version = excluded.version, state_format = excluded.state_format,
        folded = excluded.folded
    """,
)
UPSERT_CHARGE = Statement(
    "payments-upsert-charge",
    """
    INSERT INTO charges (
        rail, ref, topup_id, organisation_id, attempt, state, asset, amount_minor, expires_at, watched, opened_at,
        next_look_at
    ) VALUES (
        %(rail)s, %(ref)s, %(topup_id)s, %(organisation_id)s, %(attempt)s, %(state)s, %(asset)s, %(amount_minor)s,
        %(expires_at)s, %(watched)s, %(opened_at)s, %(opened_at)s
    )
    ON CONFLICT (rail, ref) DO UPDATE SET state = excluded.state, watched = excluded.watched
    """,
)
UPSERT_RECEIPT = Statement(
    "payments-upsert-receipt",
    """
    INSERT INTO receipts (
        receipt_id, rail, external_id, ref, state, generation, policy_case, asset, amount_minor, currency, value_micro,
        unapplied_micro, suspense_micro, topup_id, organisation_id, first_seen, recorded_at
    ) VALUES (
        %(receipt_id)s, %(rail)s, %(external_id)s, %(ref)s, %(state)s, %(generation)s, %(policy_case)s, %(asset)s,
        %(amount_minor)s, %(currency)s, %(value_micro)s, %(unapplied_micro)s, %(suspense_micro)s, %(topup_id)s,
        %(organisation_id)s, %(first_seen)s, %(recorded_at)s
    )
    ON CONFLICT (receipt_id) DO UPDATE SET
        state = excluded.state, generation = excluded.generation, policy_case = excluded.policy_case,
        value_micro = excluded.value_micro, unapplied_micro = excluded.unapplied_micro,
        suspense_micro = excluded.suspense_micro, recorded_at = excluded.recorded_at
    """,
)
EXPLAIN_RECEIPT = Statement(
    "payments-explain-receipt",
    "UPDATE receipts SET reason = %(reason)s WHERE receipt_id = %(receipt_id)s",
)
APPLY_RECEIPT = Statement(
    "payments-apply-receipt",
    """
    UPDATE receipts
    SET unapplied_micro = unapplied_micro - %(unapplied_micro)s,
        suspense_micro = suspense_micro - %(suspense_micro)s, recorded_at = %(recorded_at)s
    WHERE receipt_id = %(receipt_id)s
    """,
)
REVERSE_RECEIPT = Statement(
    "payments-reverse-receipt",
    """
    UPDATE receipts
    SET state = 'reversed', unapplied_micro = 0, suspense_micro = 0, recorded_at = %(recorded_at)s
    WHERE receipt_id = %(receipt_id)s
    """,
)
LIST_WAITING = Statement(
    "payments-list-waiting",
    """
    SELECT receipt_id, rail, external_id, currency, unapplied_micro, suspense_micro, reason, topup_id,
           organisation_id, first_seen
    FROM receipts WHERE unapplied_micro > 0 OR suspense_micro > 0
    ORDER BY first_seen LIMIT %(limit)s
    """,
)
