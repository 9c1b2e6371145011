"""A real kernel, as a front end speaks to it."""

from __future__ import annotations

import contextlib
import queue
import time

from jupyter_client.manager import KernelManager

SECONDS = 60.0


class Kernel:
    """A kernel and what it says on its public channel, cell by cell."""

    def __init__(self, environment):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)
        self.told = []

    def begin(self, code):
        self.told = []
        self.cell = self.client.execute(code)

    def until(self, happened):
        """Read what the cell says until `happened` of a message is true; return that message."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                message = self.client.get_iopub_msg(timeout=1.0)
                if message["parent_header"].get("msg_id") == self.cell:
                    self.told.append(message)
                    if happened(message):
                        return message
        raise AssertionError([message["msg_type"] for message in self.told])

    def end(self):
        """Read to the end of the cell and return all messages that show something."""
        self.until(lambda message: message["content"].get("execution_state") == "idle")
        quiet = {"status", "execute_input"}
        return [message for message in self.told if message["msg_type"] not in quiet]

    def run(self, code):
        self.begin(code)
        told = self.end()
        assert "error" not in kinds(told), told
        return told

    def complete(self, marked):
        """Return what the kernel offers at the `|`: each with what the cell would be with it."""
        before, after = marked.split("|")
        reply = self.client.complete(before + after, len(before), reply=True, timeout=SECONDS)["content"]
        assert reply["status"] == "ok"
        start, end = reply["cursor_start"], reply["cursor_end"]
        text = before + after
        return {each: text[:start] + each + text[end:] for each in reply["matches"]}

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def kinds(told):
    return [message["msg_type"] for message in told]
