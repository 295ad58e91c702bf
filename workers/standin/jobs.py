"""The node's queue and memory of jobs: a heap by (number, id), one running, a history; and what /api/jobs says."""

import heapq
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
Job: TypeAlias = dict[str, Any]
Item: TypeAlias = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]
"""Number (lower runs first), prompt id, graph, extra data, outputs to run."""


class PromptQueue:
    """Shared by the routes and the worker thread; `updated` is called after every change, under the lock."""

    def __init__(self, updated: Callable[[], None]) -> None:
        self.lock = threading.RLock()
        self._waiting = threading.Condition(self.lock)
        self._updated = updated
        self.pending: list[Item] = []
        self.running: list[Item] = []
        self.history: dict[str, dict[str, Any]] = {}
        self.counter = 0

    def put(self, item: Item) -> None:
        """Queue a job. Two with the same number and id make the heap compare graphs: it raises, and both are in."""
        with self._waiting:
            heapq.heappush(self.pending, item)
            self._updated()
            self._waiting.notify()

    def take(self) -> Item:
        """Wait for the next job and count it as running."""
        with self._waiting:
            while not self.pending:
                self._waiting.wait()
            item = heapq.heappop(self.pending)
            self.running.append(item)
            self._updated()
            return item

    def finish(self, item: Item, result: dict[str, Any]) -> None:
        """Move a running job to the history; an id that ran before is replaced."""
        with self.lock:
            if item not in self.running:
                return
            self.running.remove(item)
            self.history[item[1]] = {"prompt": item, **result}
            self._updated()

    def forget(self) -> None:
        """Do as a restart does."""
        with self.lock:
            self.pending.clear()
            self.running.clear()
            self.history.clear()
            self.counter = 0

    def exec_info(self) -> dict[str, Any]:
        """Say how many jobs run or wait."""
        with self.lock:
            return {"exec_info": {"queue_remaining": len(self.pending) + len(self.running)}}

    def count(self) -> float:
        """Give the next number; refused prompts use one up too."""
        with self.lock:
            self.counter += 1
            return self.counter - 1

    def delete(self, prompt_id: str | None) -> bool:
        """Drop one waiting job, or all; it leaves no trace."""
        with self.lock:
            found = [item for item in self.pending if prompt_id in {None, item[1]}]
            for item in found[: None if prompt_id is None else 1]:
                self.pending.remove(item)
            heapq.heapify(self.pending)
            if found:
                self._updated()
        return bool(found)


def find(queue: PromptQueue, prompt_id: str) -> Job | None:
    """Describe one job whole; None if the node does not know it. What runs hides what ran under the same id."""
    with queue.lock:
        jobs = [_base(item, "in_progress") for item in queue.running if item[1] == prompt_id]
        jobs += [_base(item, "pending") for item in queue.pending if item[1] == prompt_id]
        jobs += [_ended(entry, whole=True) for entry in [queue.history.get(prompt_id)] if entry]
        return jobs[0] if jobs else None


def listing(queue: PromptQueue, query: dict[str, str]) -> tuple[dict[str, Any], int]:
    """Answer GET /api/jobs: body and status."""
    wanted = [status.strip() for status in query.get("status", "").split(",") if status.strip()]
    unknown = [status for status in wanted if status not in STATUSES]
    if unknown:
        listed = ", ".join(STATUSES)
        return {"error": f"Invalid status value(s): {', '.join(unknown)}. Valid values: {listed}"}, 400
    with queue.lock:
        jobs = [_base(item, "in_progress") for item in queue.running]
        jobs += [_base(item, "pending") for item in queue.pending]
        jobs += [_ended(entry, whole=False) for entry in queue.history.values()]
    jobs = [job for job in jobs if not wanted or job["status"] in wanted]
    jobs = [job for job in jobs if query.get("workflow_id") in {None, job.get("workflow_id")}]
    by_duration = query.get("sort_by") == "execution_duration"
    ended, began = ("execution_end_time", "execution_start_time") if by_duration else ("create_time", "")
    jobs.sort(key=lambda job: job.get(ended, 0) - job.get(began, 0), reverse=query.get("sort_order") != "asc")
    offset, limit = int(query.get("offset", 0)), int(query["limit"]) if "limit" in query else None
    page = jobs[offset:] if limit is None else jobs[offset : offset + limit]
    more = offset + len(page) < len(jobs)
    return {"jobs": page, "pagination": {"offset": offset, "limit": limit, "total": len(jobs), "has_more": more}}, 200


def _base(item: Item, status: str) -> Job:
    job: Job = {"id": item[1], "status": status, "priority": item[0], "create_time": item[3]["create_time"]}
    workflow_id = item[3].get("extra_pnginfo", {}).get("workflow", {}).get("id")
    job |= {"workflow_id": workflow_id} if workflow_id else {}
    return {**job, "outputs_count": 0, "previewable_outputs_count": 0}


def _ended(entry: dict[str, Any], *, whole: bool) -> Job:
    item: Item = entry["prompt"]
    messages: list[tuple[str, Job]] = entry["status"]["messages"]
    names = [name for name, _ in messages]
    status = "completed" if entry["status"]["completed"] else "failed"
    job = _base(item, "cancelled" if "execution_interrupted" in names else status)
    job["execution_start_time"], job["execution_end_time"] = messages[0][1]["timestamp"], messages[-1][1]["timestamp"]
    if "execution_error" in names:
        job["execution_error"] = messages[-1][1]
    files: list[Job] = []
    for node_id, kinds in entry["outputs"].items():
        for kind, items in kinds.items():
            files += [{**item, "nodeId": node_id, "mediaType": kind} for item in items if isinstance(item, dict)]
    job["outputs_count"] = len(files)
    job["previewable_outputs_count"] = sum(file["mediaType"] == "images" for file in files)
    if files:
        job["preview_output"] = files[0]
    if whole:
        workflow = {"prompt": item[2], "extra_data": item[3]}
        job |= {"outputs": entry["outputs"], "execution_status": entry["status"], "workflow": workflow}
    return job
