"""What the pages themselves refuse. Everything else is named by ``api.problems``, and shown in words.

::

    PageError               ``status``, ``title``, ``advice``
    ├── SignedOut           401  no session, or its key has ended: back to the door
    ├── FormRejected        403  not a form of this session: out of date, or from elsewhere
    └── FormUnreadable      400  not a form at all
"""

from __future__ import annotations

from typing import ClassVar


class PageError(Exception):
    """A refusal with words for a person."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "That did not work"
    advice: ClassVar[str] = "Go back and try again."


class SignedOut(PageError):
    """No session, or one whose key is revoked or has expired."""

    status = 401
    title = "You are signed out"
    advice = "Sign in again with an API key that is still good."


class FormRejected(PageError):
    """A form that this session did not hand out."""

    status = 403
    title = "This form is out of date"
    advice = "Go back to the page, let it load again, and send the form from there. It needs cookies."


class FormUnreadable(PageError):
    """A body that is no form."""

    title = "The form cannot be read"
    advice = "Send it from the page."
