"""The public routes, with and without /api before them, as ASGI; whatever a handler raises is answered 500."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from workers.nodes.faults import Fault
from workers.nodes.graphs import problem, validate
from workers.standin import folders, jobs
from workers.standin.execution import Worker
from workers.standin.hub import FEATURES

Answer: TypeAlias = tuple[int, str, bytes]
Params: TypeAlias = dict[str, str]
_UPLOAD_MAX = 104857600
_BYTES, _JSON, _TEXT = "application/octet-stream", "application/json", "text/plain"
_TOO_LARGE = (413, _TEXT, f"Maximum request body size {_UPLOAD_MAX} exceeded.".encode())
_SORRY = (500, _TEXT, b"500 Internal Server Error\n\nServer got itself in trouble")
_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")
_BAD_ID = problem("invalid_prompt_id", "prompt_id must be a valid UUID",
                  "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
                  "omit it to let the server generate one")  # fmt: skip
_SYSTEM: dict[str, Any] = {
    "os": "linux", "ram_total": 2**33, "ram_free": 2**32, "comfyui_version": "0.33.0", "pytorch_version": "none",
    "required_frontend_version": "", "installed_templates_version": "", "required_templates_version": "",
    "comfy_package_versions": [], "python_version": "", "embedded_python": False, "argv": [],
    "deploy_environment": "stand-in"}  # fmt: skip
_DEVICE = {"name": "stand-in", "type": "cpu", "index": None, "vram_total": 2**33, "vram_free": 2**32,
           "torch_vram_total": 2**33, "torch_vram_free": 2**32}  # fmt: skip


def say(value: Any, status: int = 200) -> Answer:
    """Answer with JSON."""
    return status, _JSON, json.dumps(value).encode()


class Routes:
    """The node's HTTP and WebSocket interface; `scripts` are misbehaviours to come: prompt id, fault, seconds."""

    def __init__(self, worker: Worker) -> None:
        self.scripts: list[tuple[str | None, Fault, float]] = []
        self.accepted: list[str] = []
        self._worker, self._queue = worker, worker.queue
        job = "/(?P<job>[^/]+)"
        table: dict[str, Callable[..., Answer]] = {
            "GET /prompt": lambda: say(self._queue.exec_info()), "POST /prompt": self._post_prompt,
            "GET /queue": self._get_queue, "POST /queue": self._post_queue,
            "POST /interrupt": self._interrupt, "POST /free": self._free,
            f"GET /history(?:{job})?": self._get_history, "POST /history": self._post_history,
            "GET /jobs": self._list_jobs, f"GET /jobs{job}": self._get_job,
            "POST /jobs/cancel": self._cancel_many, f"POST /jobs{job}/cancel": self._cancel_one,
            "POST /upload/image": self._upload, "GET /view": self._view,
            "GET /object_info(?:/(?P<name>[^/]+))?": self._object_info, "GET /features": lambda: say(FEATURES),
            "GET /system_stats": lambda: say({"system": _SYSTEM, "devices": [_DEVICE]}),
        }  # fmt: skip
        self._table = [(re.compile(pattern), handler) for pattern, handler in table.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Speak ASGI."""
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        if scope["type"] == "websocket":
            await self._worker.hub.serve(query.get("clientId", ""), self._greeting, receive, send)
            return
        body, size, more = bytearray(), 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
            body += message.get("body", b"") if size <= _UPLOAD_MAX else b""
        request = f"{scope['method']} {scope['path'].removeprefix('/api')}"
        given = {"query": query, "body": bytes(body), "headers": dict(scope["headers"])}
        answer = await asyncio.to_thread(self._answer, request, given) if size <= _UPLOAD_MAX else _TOO_LARGE
        headers = [(b"content-length", str(len(answer[2])).encode())]
        headers += [(b"content-type", answer[1].encode())] if answer[2] else []
        await send({"type": "http.response.start", "status": answer[0], "headers": headers})
        await send({"type": "http.response.body", "body": answer[2]})

    def _greeting(self, client_id: str) -> list[dict[str, Any]]:
        data = {"status": self._queue.exec_info(), "sid": client_id}
        where = {"type": "executing", "data": {"node": self._worker.node_id}}
        running = self._worker.client_id == client_id and self._worker.node_id is not None
        return [{"type": "status", "data": data}, *([where] if running else [])]

    def _answer(self, request: str, given: dict[str, Any]) -> Answer:
        """Find the handler, and give it those of query, body, headers and path parts that it takes."""
        for pattern, handler in self._table:
            if match := pattern.fullmatch(request):
                known, names = given | match.groupdict(), handler.__code__.co_varnames[: handler.__code__.co_argcount]
                try:
                    return handler(**{name: known[name] for name in names if name in known})
                except folders.ForbiddenError as error:
                    return error.status, _BYTES, b""
                except Exception:  # noqa: BLE001 - as the real server: trouble is a 500 and no more
                    return _SORRY
        return 404, _TEXT, b"404: Not Found"

    def _post_prompt(self, body: bytes) -> Answer:
        post: dict[str, Any] = json.loads(body)
        counter = self._queue.count()
        if "prompt" not in post:
            return _refuse(problem("no_prompt", "No prompt provided", "No prompt provided"))
        number = float(post["number"]) if "number" in post else -counter if post.get("front") else counter
        prompt_id = str(uuid.uuid4()) if post.get("prompt_id") is None else post["prompt_id"]
        if not _canonical(prompt_id):
            return _refuse(_BAD_ID)
        graph, find = post["prompt"], self._worker.folders.find_input
        error, node_errors, outputs = validate(graph, self._worker.catalogue.classes, lambda name: bool(find(name)))
        if error is not None:
            return _refuse(error, node_errors)
        extra = {key: value for key, value in post.get("extra_data", {}).items() if key not in _SECRETS}
        extra |= {key: post[key] for key in ("client_id",) if key in post}
        extra["create_time"] = int(time.time() * 1000)
        fault, seconds = self._script(prompt_id)
        if fault is not Fault.REFUSED_500:
            self.accepted.append(prompt_id)
            self._queue.put((number, prompt_id, graph, extra, outputs))
        if fault in {Fault.REFUSED_500, Fault.QUEUED_500}:
            return _SORRY
        time.sleep(seconds if fault is Fault.LATE_ANSWER else 0)
        return say({"prompt_id": prompt_id, "number": number, "node_errors": node_errors})

    def _script(self, prompt_id: str) -> tuple[Fault | None, float]:
        """Take the first misbehaviour scripted for this prompt, or for the next one."""
        for script in self.scripts:
            if script[0] in {None, prompt_id}:
                self.scripts.remove(script)
                self._worker.faults[prompt_id] = script[1:]
                return script[1:]
        return None, 0.0

    def _get_queue(self) -> Answer:
        with self._queue.lock:
            return say({"queue_running": self._queue.running, "queue_pending": self._queue.pending})

    def _post_queue(self, body: bytes) -> Answer:
        wish: dict[str, Any] = json.loads(body)
        for prompt_id in [None] if wish.get("clear") else wish.get("delete", ()):
            self._queue.delete(prompt_id)
        return 200, _BYTES, b""

    def _interrupt(self, body: bytes) -> Answer:
        self._worker.interrupt(json.loads(body).get("prompt_id") if body else None)
        return 200, _BYTES, b""

    def _free(self, body: bytes) -> Answer:
        self._worker.must_free = bool(json.loads(body).get("free_memory"))
        return 200, _BYTES, b""

    def _list_jobs(self, query: Params) -> Answer:
        return say(*jobs.listing(self._queue, query))

    def _get_job(self, job: str) -> Answer:
        found = jobs.find(self._queue, job)
        return say(found) if found else say({"error": "Job not found"}, 404)

    def _cancel_one(self, job: str) -> Answer:
        return say({"cancelled": self._cancel(job)})

    def _cancel_many(self, body: bytes) -> Answer:
        ids: list[str] = json.loads(body)["job_ids"]
        wrong = [job for job in ids if not _canonical(job)]
        if wrong:
            return say({"error": "job_ids contains invalid id(s)", "invalid_ids": wrong}, 400)
        return say({"cancelled": True in [self._cancel(job) for job in ids]})

    def _cancel(self, job: str) -> bool:
        """Dequeue or interrupt; true says that the wish was taken, not that it will come true."""
        if self._queue.delete(job):
            self._worker.tell_status()
            return True
        return self._worker.interrupt(job)

    def _get_history(self, query: Params, job: str | None) -> Answer:
        with self._queue.lock:
            wanted = [(key, entry) for key, entry in self._queue.history.items() if job in {None, key}]
            return say(dict(wanted[-int(query["max_items"]) :] if "max_items" in query else wanted))

    def _post_history(self, body: bytes) -> Answer:
        wish: dict[str, Any] = json.loads(body)
        for prompt_id in list(self._queue.history) if wish.get("clear") else wish.get("delete", ()):
            self._queue.history.pop(prompt_id, None)
        return 200, _BYTES, b""

    def _upload(self, body: bytes, headers: dict[bytes, bytes]) -> Answer:
        fields, filename = _multipart(body, headers[b"content-type"].decode())
        place = [fields.get(name, default).decode() for name, default in (("subfolder", b""), ("type", b"input"))]
        overwrite = fields.get("overwrite") in {b"true", b"1"}
        return say(self._worker.folders.upload(filename, fields["image"], place[0], place[1], overwrite=overwrite))

    def _view(self, query: Params) -> Answer:
        subfolder, kind = query.get("subfolder", ""), query.get("type", "output")
        path = self._worker.folders.view(query.get("filename", ""), subfolder, kind)
        if path is None:
            return 404, _BYTES, b""
        return 200, *(folders.preview(path, query["preview"]) if "preview" in query else folders.whole(path))

    def _object_info(self, name: str | None) -> Answer:
        classes = self._worker.catalogue.classes
        return say({key: info for key, info in classes.items() if name in {None, key}})


def _refuse(error: dict[str, Any], node_errors: dict[str, Any] | None = None) -> Answer:
    return say({"error": error, "node_errors": node_errors or {}}, 400)


def _canonical(text: Any) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except (ValueError, AttributeError, TypeError):
        return False


def _multipart(body: bytes, content_type: str) -> tuple[dict[str, bytes], str]:
    """Take a form apart: fields by name, and the name of the file."""
    boundary = b"\r\n--" + content_type.split("boundary=")[1].strip('"').encode()
    fields: dict[str, bytes] = {}
    filename = ""
    for part in (b"\r\n" + body).split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        names = dict(re.findall(r'(\w+)="([^"]*)"', head.decode()))
        fields[names["name"]] = content
        filename = names.get("filename", filename)
    return fields, filename
