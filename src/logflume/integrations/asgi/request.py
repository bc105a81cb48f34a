"""An HTTP request, watched (ASGI 3, HTTP & WebSocket 2.5)."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from ...level import INFO, Level
from ...scope import is_failure
from .access import content_length
from .call import Call, Message

__all__ = ["Request"]

_BY_THE_SERVER = {"http.response.pathsend", "http.response.zerocopysend"}
"""ASGI's extensions: the server reads the file, the app says only how long it is."""


class Request(Call):
    """An HTTP request."""

    __slots__ = ("done_ns", "has_files")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.done_ns = 0
        self.has_files = False

    async def receive(self) -> Message:
        """Pass on what the client sends, counted."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body") or b"")
        elif message["type"] == "http.disconnect":
            self.told_over = True
            self.gone = self.gone or not self.done_ns
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the app sends; it counts once the server has taken it."""
        kind = message["type"]
        size = status = None
        if kind == "http.response.body":
            size = len(message.get("body") or b"")
        elif kind == "http.response.start":
            message, status = self._with_id(message), message.get("status")
            self._give_back()
        elif kind in _BY_THE_SERVER:
            size = _length_of_part(message)
            self.has_files = True
        last = size is not None and not message.get("more_body", False)
        if last:  # before it is taken: then the server may say `http.disconnect` to who listens
            self.done_ns = perf_counter_ns()
        try:
            await self._send(message)
        except BaseException as error:
            # hypercorn says `http.disconnect` before its `send` of the last part has returned; who
            # listens, as Starlette's streams do, cancels that. All is sent if it was but the end.
            is_end = not size and kind not in _BY_THE_SERVER
            if last and not (is_end and self.told_over and not is_failure(error)):
                self.done_ns = 0
                self.gone = self.gone or self.told_over
            self.gone = self.gone or isinstance(error, OSError)
            raise
        if size is not None:
            self.bytes_out += size
        elif status is not None:
            self._take_start(message)
        if last:
            self.done_ns = perf_counter_ns()

    @property
    def is_complete(self) -> bool:
        """Whether the last part of the body was sent."""
        return bool(self.done_ns)

    def _summary(
        self, own: dict[str, Any], outcome: str, total_ms: float
    ) -> tuple[Level, str, str]:
        status = self.status
        if status is None and outcome in ("failed", "incomplete"):
            status = 500  # which the server sends then
        if status is not None:
            own["status"] = status
        own["duration_ms"] = total_ms
        if self.done_ns:
            # Up to the last byte: background tasks are not what the client waited for.
            own["duration_ms"] = self.record.until(self.done_ns)
            own["total_ms"] = total_ms
        if self.asgi.get("method") == "HEAD":
            self.bytes_out = 0  # whatever the app gave, the server sends no body
        elif self.has_files and self.done_ns:
            self.bytes_out = content_length(self.response_headers) or self.bytes_out
        if status is None:
            return INFO, f"{self.title} {{outcome}}", "outcome"
        return self.access.level_of(status), f"{self.title} {{status}}", "status"

    @property
    def title(self) -> str:
        """Method and path."""
        return "{method} {path}" if self.asgi.get("method") is not None else "{path}"


def _length_of_part(message: Message) -> int:
    """Return how much of a file the server is to send, if the message says so."""
    count = message.get("count")
    return count if isinstance(count, int) and count > 0 else 0
