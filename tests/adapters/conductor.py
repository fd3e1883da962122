"""A small Conductor: the part of its HTTP interface that OmAgent's workers and clients use, over real sockets.

It runs the workflows that are started: their simple tasks one after the other, those of a fork at once.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Conductor"]


class _Workflow:
    """One instance: stages of tasks, of which all of one have to end before the next begins."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.id = uuid4().hex
        self.input = request.get("input") or {}
        self.stages = deque(_stages(request["workflowDef"]["tasks"]))
        self.open: set[str] = set()
        self.output: dict[str, Any] = {}
        self.status = "RUNNING"

    def filled(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What a task is given: its parameters, with what the workflow was given in place of ``${workflow.input.name}``."""
        known = {f"${{workflow.input.{name}}}": value for name, value in self.input.items()}
        return {name: known.get(str(value), value) for name, value in parameters.items()}


def _stages(tasks: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    found = []
    for task in tasks:
        if task["type"] == "SIMPLE":
            found.append([task])
        elif task["type"] == "FORK_JOIN":
            found.append([branch[0] for branch in task["forkTasks"]])
    return found


class Conductor:
    """The server, while its block runs: ``with Conductor() as conductor: conductor.url``."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        """What workers have sent, in the order in which it came."""
        self._workflows: dict[str, _Workflow] = {}
        self._waiting: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self._lock = Lock()
        conductor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            do_POST = do_PUT = do_GET  # noqa: N815

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = urlsplit(self.path).path.removeprefix("/api/").split("/")
                with conductor._lock:
                    answer = conductor._answer(self.command, path, json.loads(body) if body else None)
                data = (
                    b""
                    if answer is None
                    else answer.encode()
                    if isinstance(answer, str)
                    else json.dumps(answer).encode()
                )
                self.send_response(204 if answer is None else 200)
                self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ------------------------------------------------------------------ what is asked

    def _answer(self, method: str, path: list[str], body: Any) -> Any:
        """The answer: text, something for JSON, or None for no content."""
        match (method, *path):
            case ("POST", "workflow"):
                workflow = _Workflow(body)
                self._workflows[workflow.id] = workflow
                self._go_on(workflow)
                return workflow.id
            case ("GET", "workflow", id):
                workflow = self._workflows[id]
                about = {"status": workflow.status, "input": workflow.input, "output": workflow.output}
                return {"workflowId": id, **about}
            case ("GET", "tasks", "poll", name):
                return self._waiting[name].popleft() if self._waiting[name] else None
            case ("POST", "tasks"):
                self._ended(body)
                return str(body["taskId"])
        return []  # definitions, logs

    def _go_on(self, workflow: _Workflow) -> None:
        if not workflow.stages:
            workflow.status = "COMPLETED"
            return
        for task in workflow.stages.popleft():
            task_id = uuid4().hex
            workflow.open.add(task_id)
            about = {"taskId": task_id, "taskDefName": task["name"], "taskType": task["name"], "status": "IN_PROGRESS"}
            given = {"workflowInstanceId": workflow.id, "inputData": workflow.filled(task.get("inputParameters") or {})}
            self._waiting[task["name"]].append({**about, **given})

    def _ended(self, result: dict[str, Any]) -> None:
        self.results.append(result)
        workflow = self._workflows[result["workflowInstanceId"]]
        workflow.open.discard(result["taskId"])
        workflow.output = result.get("outputData") or {}
        if result["status"] != "COMPLETED":
            workflow.status = "FAILED"
        elif not workflow.open:
            self._go_on(workflow)
