"""Signing up: an organisation's row, then its account in the ledger.

Each step may be repeated, so a crash between them is finished by the caller's repeat, or by whoever starts next.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple
from uuid import UUID

from customers import limits
from customers.domain.organisations import Organisation, read_email, read_name
from customers.errors import AccountRefused, InvalidField, OrganisationUnknown, SignUpConflict
from customers.ports import CustomerStore, NewOrganisation
from ledger.domain.commands import OpenAccount
from ledger.domain.verdicts import Refused
from ledger.ports import Ids, LedgerWriter, Request


class SignedUp(NamedTuple):
    """An organisation with an open account; ``replayed``: the same key had signed it up before."""

    organisation: Organisation
    replayed: bool


class OrganisationsService:
    """Organisations and the way in."""

    def __init__(self, store: CustomerStore, ledger: LedgerWriter, *, ids: Ids) -> None:
        self._store = store
        self._ledger = ledger
        self._ids = ids

    def sign_up(self, key: str, name: str, *, owner_email: str | None = None) -> SignedUp:
        """Make an organisation with one open account, once per ``key``.

        :raises InvalidField: key, name or address out of bounds.
        :raises SignUpConflict: the key was used with another body.
        :raises AccountRefused: the ledger said no.
        :raises ledger.errors.NotDone, ledger.errors.OutcomeUnknown: ask again with the same key.
        """
        if not 0 < len(key) <= limits.SIGNUP_KEY_CHARS_MAX or not key.isprintable():
            raise InvalidField("key", f"1 to {limits.SIGNUP_KEY_CHARS_MAX} printable characters")
        wanted = NewOrganisation(
            organisation_id=self._ids.new(),
            account_id=self._ids.new(),
            name=read_name(name),
            signup_key=hashlib.sha256(key.encode()).digest(),
            owner_email=None if owner_email is None else read_email(owner_email),
        )
        stored = self._store.claim_organisation(wanted)
        if stored.organisation.name != wanted.name:
            raise SignUpConflict(field="name")
        if stored.owner_email != wanted.owner_email:
            raise SignUpConflict(field="owner_email")
        replayed = stored.organisation.organisation_id != wanted.organisation_id
        return SignedUp(self.finish(stored.organisation), replayed)

    def finish(self, organisation: Organisation) -> Organisation:
        """Open the account of a stored organisation, if that was not done. Raises as ``sign_up``."""
        if organisation.account_opened_at is not None:
            return organisation
        account_id = organisation.account_id
        command = OpenAccount(account_id=account_id, organisation_id=organisation.organisation_id)
        answer = self._ledger.submit(
            Request(key=f"open-account:{account_id.hex}", operation="open-account", command=command)
        )
        if isinstance(answer.verdict, Refused):
            raise AccountRefused(answer.verdict.code, answer.verdict.facts)
        return self._store.account_opened(organisation.organisation_id)

    def finish_all(self) -> int:
        """Finish sign-ups that were cut short; how many there were. Raises as ``sign_up``."""
        found = self._store.unfinished(limits.UNFINISHED_AFTER_S, limits.UNFINISHED_BATCH_MAX)
        for organisation in found:
            self.finish(organisation)
        return len(found)

    def get(self, organisation_id: UUID) -> Organisation:
        """One organisation.

        :raises OrganisationUnknown: there is none.
        """
        organisation = self._store.organisation(organisation_id)
        if organisation is None:
            raise OrganisationUnknown
        return organisation
