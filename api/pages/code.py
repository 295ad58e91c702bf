"""The same as the page does, as commands and code that one can paste. Pure."""

from __future__ import annotations

import json
import shlex
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from workers.generation.tools import JobParams

VARIABLE = "TALLYSTICK_KEY"
_EXAMPLE = {"prompt": "a lighthouse at dusk, oil on canvas", "aspect_ratio": "1:1", "quality": "draft"}
_DEFAULTS = asdict(JobParams(prompt=""))


class Code(Struct, frozen=True, kw_only=True):
    """Three shell lines and a Python program; ``export`` puts the key where they look for it."""

    export: str
    curl: list[str]
    python: str


def curl_lines(public_url: str, key: str, body: dict[str, Any] | None = None) -> list[str]:
    """Balance, generate, newest job: each works when pasted as it is.

    ``key`` is a secret, or ``$NAME`` of a variable that holds it.
    """
    bearer = f'-H "Authorization: Bearer {key}"'
    order = shlex.quote(json.dumps(body or _EXAMPLE, ensure_ascii=False))
    generate = (
        f"curl -sS {public_url}/api/v1/generate {bearer} -H 'Content-Type: application/json'"
        f" -H \"Idempotency-Key: try-$(date +%s)\" -H 'Prefer: wait=60' -d {order}"
    )
    return [
        f"curl -sS {public_url}/api/v1/balance {bearer}",
        generate,
        f"curl -sS '{public_url}/api/v1/jobs?limit=1' {bearer}",
    ]


def as_code(public_url: str, params: JobParams | None = None) -> Code:
    """A request as code; without one an example. The key stays out of it."""
    body = _EXAMPLE if params is None or not params.prompt else body_of(params)
    return Code(
        export=f"export {VARIABLE}=tally_…",
        curl=curl_lines(public_url, f"${VARIABLE}", body),
        python=_PYTHON.format(url=public_url, variable=VARIABLE, body=_literal(body)),
    )


def body_of(params: JobParams) -> dict[str, Any]:
    """What a program would send: only what differs from the defaults."""
    return {name: value for name, value in asdict(params).items() if value != _DEFAULTS[name]}


def _literal(body: dict[str, Any]) -> str:
    lines = [f"    {_quoted(name)}: {_quoted(value)}," for name, value in body.items()]
    return "\n".join(("{", *lines, "}"))


def _quoted(value: str | int) -> str:
    """A text or number as JSON writes it, which Python reads the same."""
    return json.dumps(value, ensure_ascii=False)


_PYTHON = """\
import os, uuid
import httpx  # pip install httpx

api = httpx.Client(
    base_url="{url}/api/v1",
    headers={{"Authorization": "Bearer " + os.environ["{variable}"]}},
    timeout=90,
)
print(api.get("/balance").json()["available"], "credits")

order = {body}
answer = api.post(
    "/generate",
    json=order,
    headers={{"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=60"}},
)
answer.raise_for_status()
job = answer.json()
print(job["job_id"], job["state"], "charged", job["charged"])
for picture in job["outputs"]:
    print(picture["url"])
"""
