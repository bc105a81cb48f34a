"""A websocket, watched (ASGI 3, HTTP & WebSocket 2.5)."""

from __future__ import annotations

from typing import Any

from ...level import INFO, Level
from .access import level_of_code
from .call import Call, Message

__all__ = ["Connection"]


class Connection(Call):
    """A websocket."""

    __slots__ = ("code", "messages_in", "messages_out", "opened")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.messages_in = self.messages_out = 0
        self.opened = False
        self.code: int | None = None

    async def receive(self) -> Message:
        """Pass on what the client sends, counted."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self.messages_in += 1
            self.bytes_in += _size(message)
        elif message["type"] == "websocket.disconnect":
            self.told_over = True
            if self.code is None:
                self.code = message.get("code") or 1005  # RFC 6455, section 7.1.5
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the app sends; it counts once the server has taken it."""
        kind = message["type"]
        closes = kind == "websocket.close" and self.opened and self.code is None
        refused = kind == "websocket.close" and not self.opened
        if kind in ("websocket.accept", "websocket.http.response.start"):
            message = self._with_id(message)
        elif closes:
            self.code = message.get("code") or 1000  # before who listens is told of the end
        try:
            await self._send(message)
        except BaseException as error:
            if closes and not self.told_over:  # else who listens cancels what the server has taken
                self.code = None
            self.gone = self.gone or isinstance(error, OSError)
            raise
        if kind == "websocket.send":
            self.messages_out += 1
            self.bytes_out += _size(message)
        elif kind == "websocket.accept":
            self._open(message)
        elif kind == "websocket.http.response.start":
            self._take_start(message)
        elif refused:
            self.status = self.status or 403  # ASGI: closed before it was accepted

    def _open(self, message: Message) -> None:
        self.opened = True
        self._take_start(message)
        if not self.excluded:
            self.access.logger.info("websocket {path} opened", path=self.path)

    @property
    def is_complete(self) -> bool:
        """Whether it was closed, by whomever, or refused."""
        return self.code is not None or self.status is not None

    @property
    def has_left(self) -> bool:
        """Whether the connection has come to its end."""
        return self.gone or self.code is not None

    @property
    def title(self) -> str:
        """The path."""
        return "websocket {path}"

    def _summary(
        self, own: dict[str, Any], outcome: str, total_ms: float
    ) -> tuple[Level, str, str]:
        level, message, told = INFO, "websocket {path} {outcome}", "outcome"
        if not self.opened and self.status is not None:
            own["status"] = self.status
            level = self.access.level_of(self.status)
            message, told = "websocket {path} refused {status}", "status"
        elif self.code is not None:
            own["close_code"] = self.code
            level = level_of_code(self.code)
            message, told = "websocket {path} closed {close_code}", "close_code"
        own["duration_ms"] = total_ms
        own["messages_in"] = self.messages_in
        own["messages_out"] = self.messages_out
        return level, message, told


def _size(message: Message) -> int:
    data = message.get("bytes")
    return len(data) if data is not None else len((message.get("text") or "").encode())
