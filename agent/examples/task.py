#!/usr/bin/env python3
"""Hashes a file as a task: asks the scheduler for a place, begins the lease at
the sidecar of this machine's worker, does the work, and reports the end.

    task.py TASK-ID FILE
"""
import hashlib
import json
import os
import sys
import threading
import urllib.error
import urllib.request

SCHEDULER = os.environ.get("DTASK_HTTP", "http://localhost:8080")
SIDECAR = os.environ.get("DTASK_SIDECAR", "http://localhost:9700")
KEEP_ALIVE = 15  # seconds of silence after which the task is taken for dead


class Refused(Exception):
    """An answer other than 200; reason is its word for programs."""

    def __init__(self, answer):
        super().__init__(answer.get("error"))
        self.reason = answer.get("reason")


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        raise Refused(json.load(e)) from None


def schedule_and_begin(task_id):
    """The client's part, and the worker's begin. A lease that is void by now,
    because the worker was restarted or is full, is replaced by another."""
    for turn in range(3):
        lease = post(SCHEDULER + "/api/v1/schedule", {"task_id": task_id, "required_tags": ["cpu"]})
        try:
            begun = post(SIDECAR + "/begin", lease | {"keepalive_ms": KEEP_ALIVE * 1000})
            os.environ.update(begun.get("env", {}))  # the GPUs of the lease, and no others
            return lease
        except Refused as e:
            if e.reason not in ("full", "old_incarnation", "other_instance") or turn == 2:
                raise


def keep_alive(lease, over):
    while not over.wait(KEEP_ALIVE / 3):
        post(SIDECAR + "/keepalive", lease)


def main(task_id, path):
    lease = schedule_and_begin(task_id)
    over = threading.Event()
    threading.Thread(target=keep_alive, args=(lease, over), daemon=True).start()
    outcome = "failed"
    try:
        with open(path, "rb") as f:
            print(hashlib.file_digest(f, "sha256").hexdigest(), path)
        outcome = "ok"
    finally:
        over.set()
        post(SIDECAR + "/end", lease | {"outcome": outcome})


if __name__ == "__main__":
    main(*sys.argv[1:])
