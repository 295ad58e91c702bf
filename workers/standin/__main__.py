"""Run the stand-in node; when it is ready it prints one JSON line with its addresses.

The control port takes POST /script {"fault", "prompt_id" or none for the next prompt, "seconds"} and DELETE /script,
and tells with GET /accepted which prompts were queued.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn

from workers.nodes.faults import Fault
from workers.standin.catalogue import Catalogue
from workers.standin.execution import Worker
from workers.standin.folders import Folders
from workers.standin.hub import Hub
from workers.standin.routes import Routes


class Server(uvicorn.Server):
    """A server that a signal ends at once, as it ends the real one: nothing is drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


def control(routes: Routes) -> Any:
    """Make the control port's application."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer: Any = routes.accepted
        if scope["path"] == "/script":
            answer = routes.scripts
            if scope["method"] == "DELETE":
                answer.clear()
            elif scope["method"] == "POST":
                script = json.loads((await receive())["body"])
                answer.append((script.get("prompt_id"), Fault(script["fault"]), float(script.get("seconds", 0))))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    return app


async def serve(options: argparse.Namespace) -> None:
    """Serve both ports until the process is killed."""
    folders = Folders(options.data)
    catalogue = Catalogue(lacks=frozenset(options.lacks), inputs=folders.inputs)
    worker = Worker(catalogue, folders, Hub(), step_s=options.step_ms / 1000)
    threading.Thread(target=worker.work, daemon=True).start()
    routes = Routes(worker)
    sockets = [socket.create_server(("127.0.0.1", port)) for port in (options.port, options.control_port)]
    servers = [
        Server(uvicorn.Config(app, lifespan="off", log_level="error", ws="websockets-sansio", ws_max_size=2**24))
        for app in (routes, control(routes))
    ]
    url, control_url = (f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in sockets)
    sys.stdout.write(json.dumps({"url": url, "control_url": control_url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve([sock]) for server, sock in zip(servers, sockets, strict=True)))


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m workers.standin", description="A stand-in for a ComfyUI node.")
    parser.add_argument("--port", type=int, default=8188, help="0: any free one")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True, help="folder for input, output and temp files")
    parser.add_argument("--step-ms", type=float, default=20, help="time that one step of painting takes")
    parser.add_argument("--lacks", action="append", default=[], help="a class or model that it shall not have")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
