"""The executor for a raw ComfyUI: its HTTP routes and its WebSocket, with a limit on everything.

The protocol has no idempotent submit, no boot id and no promise behind a cancel, and it answers 500 for work that it
queued; so a job's state is always asked for, never inferred.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
import msgspec

from ledger.ports import Clock
from workers.nodes import wire
from workers.nodes.limits import (
    ANSWER_BYTES_MAX,
    ANSWER_LIMIT_S,
    CAPABILITIES_BYTES_MAX,
    CONNECT_LIMIT_S,
    TRANSFER_LIMIT_S,
    UPLOAD_BYTES_MAX,
)
from workers.nodes.listen import listen
from workers.nodes.port import (
    Absent,
    CancelAsked,
    Capabilities,
    Done,
    Fetch,
    Fetched,
    FileMissing,
    Graph,
    Healthy,
    JobState,
    Live,
    OutputFile,
    Refusal,
    Rejected,
    Submission,
    Submitted,
    TooLarge,
    Unknown,
    Unreachable,
    Upload,
    Uploaded,
)

_OK, _BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE = 200, 400, 403, 404, 413
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request and the bounds of its answer."""

    method: str
    path: str
    params: Mapping[str, str] = {}
    json: Any = None
    files: Any = None
    limit_s: float = ANSWER_LIMIT_S
    bytes_max: int = ANSWER_BYTES_MAX


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    mime: str
    body: bytes


class _NoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    reason: str
    sent: bool = True
    too_large: bool = False

    @property
    def unreachable(self) -> Unreachable:
        return Unreachable(reason=self.reason)


class ComfyNode:
    """One ComfyUI process, reached by its URL; `token` is for the guard in front of it, if there is one."""

    def __init__(self, url: str, *, clock: Clock, name: str | None = None, token: str | None = None) -> None:
        self.name = name or urlsplit(url).netloc
        self._clock = clock
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=self._url, headers=self._headers, trust_env=False, follow_redirects=False)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    # --- jobs

    def submit(self, attempt_id: UUID, graph: Graph) -> Submission:
        """Post the graph under the attempt's id, unless the node knows that id already."""
        match self.look_up(attempt_id):
            case Unreachable(reason=reason):
                return Unknown(reason=reason, sent=False)
            case Absent():
                return self._post(attempt_id, graph)
            case _:
                return Submitted(attached=True)

    def _post(self, attempt_id: UUID, graph: Graph) -> Submission:
        body = {"prompt": graph, "prompt_id": str(attempt_id), "client_id": str(attempt_id)}
        answer = self._ask(_Call(method="POST", path="/prompt", json=body, limit_s=TRANSFER_LIMIT_S))
        if isinstance(answer, _NoAnswer):
            return Unknown(reason=answer.reason, sent=answer.sent)
        if answer.status == _OK and (accepted := wire.parse(answer.body, wire.Accepted)) is not None:
            return self._check_accepted(attempt_id, accepted)
        if answer.status == _BAD_REQUEST and (refused := wire.parse(answer.body, wire.Refused)) is not None:
            return wire.rejection(refused.error, refused.node_errors)
        return Unknown(reason=f"HTTP {answer.status}", sent=True)

    def _check_accepted(self, attempt_id: UUID, accepted: wire.Accepted) -> Submission:
        """Turn a half-valid graph, or an id that the node replaced, into a refusal, and take the job back."""
        if accepted.prompt_id != str(attempt_id):
            self._cancel(accepted.prompt_id)
            message = "the node does not take our ids"
            return Rejected(refusal=Refusal.CAPABILITY, type="prompt_id_ignored", message=message, lacks=("prompt_id",))
        if accepted.node_errors:
            self._cancel(accepted.prompt_id)
            problem = wire.Problem(type="partially_valid", message="some outputs would not run")
            return wire.rejection(problem, accepted.node_errors)
        return Submitted(attached=False)

    def look_up(self, attempt_id: UUID) -> JobState:
        """Ask for the job's state; only a 404 that says so means that the node does not know it."""
        answer = self._ask(_Call(method="GET", path=f"/api/jobs/{attempt_id}"))
        if isinstance(answer, _NoAnswer):
            return answer.unreachable
        if answer.status == _OK and (job := wire.parse(answer.body, wire.Job)) is not None:
            return wire.job_state(job)
        if answer.status == _NOT_FOUND and wire.parse(answer.body, wire.JobUnknown) is not None:
            return Absent()
        return Unreachable(reason=f"HTTP {answer.status}")

    def cancel(self, attempt_id: UUID) -> CancelAsked | Unreachable:
        """Ask for the attempt's end, waiting or running."""
        return self._cancel(str(attempt_id))

    def _cancel(self, prompt_id: str) -> CancelAsked | Unreachable:
        answer = self._ask(_Call(method="POST", path=f"/api/jobs/{quote(prompt_id, safe='')}/cancel"))
        if isinstance(answer, _NoAnswer):
            return answer.unreachable
        if answer.status == _OK and (reply := wire.parse(answer.body, wire.CancelReply)) is not None:
            return CancelAsked(acknowledged=reply.cancelled)
        return Unreachable(reason=f"HTTP {answer.status}")

    def interrupt(self, attempt_id: UUID) -> Done | Unreachable:
        """Interrupt the attempt if it is the one that runs."""
        return self._tell("/interrupt", {"prompt_id": str(attempt_id)})

    def free(self) -> Done | Unreachable:
        """Ask the node to unload models and free memory."""
        return self._tell("/free", {"unload_models": True, "free_memory": True})

    # --- files

    def fetch(self, file: OutputFile, *, bytes_max: int) -> Fetch:
        """Read one output whole, at most `bytes_max` bytes."""
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        call = _Call(method="GET", path="/view", params=params, limit_s=TRANSFER_LIMIT_S, bytes_max=bytes_max)
        answer = self._ask(call)
        if isinstance(answer, _NoAnswer):
            return TooLarge(bytes_max=bytes_max) if answer.too_large else answer.unreachable
        if answer.status in {_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND}:
            return FileMissing(reason=f"HTTP {answer.status}")
        if answer.status != _OK:
            return Unreachable(reason=f"HTTP {answer.status}")
        return Fetched(content=answer.body, mime=answer.mime) if answer.body else FileMissing(reason="0 bytes")

    def upload(self, name: str, content: bytes) -> Upload:
        """Store an input picture under `name`, or the name that the node makes of it."""
        assert "/" not in name
        if len(content) > UPLOAD_BYTES_MAX:
            return TooLarge(bytes_max=UPLOAD_BYTES_MAX)
        files = {"image": (name, content), "type": (None, "input")}
        answer = self._ask(_Call(method="POST", path="/upload/image", files=files, limit_s=TRANSFER_LIMIT_S))
        if isinstance(answer, _NoAnswer):
            return answer.unreachable
        if answer.status == _TOO_LARGE:
            return TooLarge(bytes_max=UPLOAD_BYTES_MAX)
        if answer.status == _OK and (reply := wire.parse(answer.body, wire.UploadReply)) is not None:
            return Uploaded(name=f"{reply.subfolder}/{reply.name}" if reply.subfolder else reply.name)
        return Unreachable(reason=f"HTTP {answer.status}")

    # --- the node itself

    def capabilities(self) -> Capabilities | Unreachable:
        """Read which classes and models the node has."""
        call = _Call(method="GET", path="/object_info", limit_s=TRANSFER_LIMIT_S, bytes_max=CAPABILITIES_BYTES_MAX)
        answer = self._ask(call)
        if isinstance(answer, _NoAnswer):
            return answer.unreachable
        classes = wire.parse(answer.body, dict[str, wire.NodeClass]) if answer.status == _OK else None
        return wire.capabilities(classes) if classes is not None else Unreachable(reason=f"HTTP {answer.status}")

    def health(self) -> Healthy | Unreachable:
        """Ask for the node's memory and queue."""
        stats = self._read("/system_stats", wire.SystemStats)
        queue = self._read("/prompt", wire.QueueLength) if not isinstance(stats, Unreachable) else stats
        if isinstance(stats, Unreachable) or isinstance(queue, Unreachable):
            return stats if isinstance(stats, Unreachable) else Unreachable(reason="no queue length")
        device = stats.devices[0] if stats.devices else wire.Device(name="", vram_total=0, vram_free=0)
        return Healthy(
            version=stats.system.comfyui_version,
            device=device.name,
            vram_total_bytes=device.vram_total,
            vram_free_bytes=device.vram_free,
            queue_remaining=queue.exec_info.queue_remaining,
        )

    @contextmanager
    def watch(self, attempt_id: UUID, *, quiet_s: float) -> Generator[Iterator[Live]]:
        """Open the attempt's live stream; see `Executor.watch`."""
        url = f"ws{self._url.removeprefix('http')}/ws?clientId={attempt_id}"
        with listen(url, str(attempt_id), quiet_s=quiet_s, headers=self._headers) as events:
            yield events

    # --- one request

    def _read(self, path: str, into: type[wire.T]) -> wire.T | Unreachable:
        answer = self._ask(_Call(method="GET", path=path))
        if isinstance(answer, _NoAnswer):
            return answer.unreachable
        value = wire.parse(answer.body, into) if answer.status == _OK else None
        return value if value is not None else Unreachable(reason=f"HTTP {answer.status}")

    def _tell(self, path: str, body: Any) -> Done | Unreachable:
        answer = self._ask(_Call(method="POST", path=path, json=body))
        if isinstance(answer, _NoAnswer):
            return answer.unreachable
        return Done() if answer.status == _OK else Unreachable(reason=f"HTTP {answer.status}")

    def _ask(self, call: _Call) -> _Answer | _NoAnswer:
        """Send one request and read its whole answer within the bounds; never raises for what came or did not."""
        timeout = httpx.Timeout(call.limit_s, connect=CONNECT_LIMIT_S, pool=CONNECT_LIMIT_S)
        request = self._client.build_request(
            call.method, call.path, params=call.params, json=call.json, files=call.files, timeout=timeout
        )
        ends_s = self._clock.monotonic_s() + call.limit_s
        try:
            response = self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            return _NoAnswer(reason=type(error).__name__, sent=not isinstance(error, _NOT_SENT))
        try:
            return self._read_body(response, call, ends_s)
        except httpx.HTTPError as error:
            return _NoAnswer(reason=type(error).__name__)
        finally:
            response.close()

    def _read_body(self, response: httpx.Response, call: _Call, ends_s: float) -> _Answer | _NoAnswer:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > call.bytes_max:
                return _NoAnswer(reason="the answer is too large", too_large=True)
            if self._clock.monotonic_s() > ends_s:
                return _NoAnswer(reason="the answer took too long")
        mime = response.headers.get("content-type", "").split(";")[0]
        return _Answer(status=response.status_code, mime=mime, body=bytes(body))
