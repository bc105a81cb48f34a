"""One call of an ASGI app, watched: what requests and websockets have in common.

A call counts what passes through its `receive` and `send`, and logs the one record of it at the
end. Nothing is held back or changed, but for the header with the request's id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from types import CodeType
from typing import Any, TypeAlias

from ...capture import PLAIN, log_with, surroundings
from ...context import context, traced
from ...level import ERROR, INFO, WARNING, Level
from ...scope import Scope, is_failure
from ...snapshot import safe_str, type_name
from .access import Access
from .route import RoutedScope
from .trace import new_request_id, request_id_from, span_from

__all__ = ["MARK", "App", "Call", "Message", "Receive", "Send"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI app of any framework: they differ in the types they give a scope and messages."""

MARK = "logflume.request_id"
"""The key in an ASGI scope by which another middleware sees that the call is watched already."""

_LONGEST = 1_024
_GONE = {"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"}
_IDENTITY = ("request_id", "method", "path", "client")
_LEAST = {"failed": ERROR, "cancelled": WARNING, "incomplete": WARNING}
_channels: set[CodeType] = set()
"""What the server's own `send` and `receive` are called by."""


class Call:
    """What requests and websockets have in common: context, scope and end."""

    __slots__ = (
        "__weakref__",
        "_blocks", "_extra_headers", "_given", "_given_span", "_id", "_receive", "_send", "_span",
        "access", "asgi", "bytes_in", "bytes_out", "excluded", "gone", "hush", "is_late", "path",
        "record", "response_headers", "status", "told_over", "user_agent",
    )  # fmt: skip

    def __init__(
        self, access: Access, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        self.access = access
        self._receive = receive
        self._send = send
        self._given = scope
        self.status: int | None = None
        self.bytes_in = self.bytes_out = 0
        self.gone = self.is_late = False
        self.told_over = False  # by the server, whoever ended it
        self.user_agent: str | None = None
        self.response_headers: list[tuple[bytes, bytes]] = []
        path = scope.get("path", "")
        if type(path) is not str:  # no server does that; if one did, it is not to fail here
            path = safe_str(path)
        self.path = path if len(path) <= _LONGEST else f"{path[:_LONGEST]}..."
        self.excluded = access.excludes(path)
        self.asgi = RoutedScope(scope, self._take_route)
        fields, span = self._identity()
        self.asgi[MARK] = self._id
        self._extra_headers: tuple[tuple[bytes, bytes], ...] = ()
        if access.request_id_header is not None:
            self._extra_headers = ((access.request_id_header, self._id.encode("latin-1")),)
        self._blocks = [traced(span, fields)]
        self._given_span = span
        self._span: tuple[int, int] | None = None
        self.record = Scope("", access.logger, INFO, {})
        self.hush: context | None = None  # which would hide a failure

    def __init_subclass__(cls) -> None:
        _channels.update(vars(cls)[name].__code__ for name in ("send", "receive"))

    def _identity(self) -> tuple[dict[str, Any], tuple[int, int] | None]:
        """Return the fields that all records of the call have, and the span it comes from."""
        given = _headers_of(self.asgi.get("headers"), self.access.wanted)
        header, traceparent = self.access.request_id_header, given.get(b"traceparent")
        request_id = request_id_from(given[header]) if header in given else None
        self._id = request_id or self._make_id()
        agent = given.get(b"user-agent")
        if agent:
            self.user_agent = agent[:_LONGEST].decode("latin-1")
        fields = {"request_id": self._id}
        method = self.asgi.get("method")
        if method is not None:
            fields["method"] = method
        fields["path"] = self.path
        client = self.asgi.get("client")
        if client and isinstance(client, list | tuple) and client[0] is not None:
            fields["client"] = client[0]
        return fields, span_from(traceparent) if traceparent else None

    def _make_id(self) -> str:
        make = self.access.new_request_id
        try:
            if make is not new_request_id and request_id_from((made := make()).encode()):
                return made
        except Exception:  # it must not cost the request
            pass
        return new_request_id()

    def _take_route(self, template: str) -> None:
        """Add the route to the context, in the task where the router runs, before the handler."""
        self._see_span()
        self.enter(context(route=template))
        self.record.add(route=template)

    def enter(self, block: context) -> None:
        """Let a block hold for the rest of the call."""
        block.__enter__()
        self._blocks.append(block)

    def _see_span(self) -> None:
        """Keep the span that the app is in, if an instrumentation inside of it began one: it is
        over before the call's record is logged."""
        if self._span is None:
            extra = surroundings()[1]
            if extra is not None and extra.span != self._given_span:
                self._span = extra.span

    def begin(self) -> None:
        """Enter the call's context and scope."""
        self._blocks[0].__enter__()
        self.record.__enter__()
        self.asgi.look()

    def end(self, error: BaseException | None) -> None:
        """Log an unhandled exception and the record of the call, and leave its context."""
        if self._span is not None:
            self._blocks.append(traced(self._span, {}))
            self._blocks[-1].__enter__()
        try:
            outcome = self._outcome(error)
            if outcome == "disconnected" and error is not None and self.is_late:
                self.status = None  # the framework's 500 for that, which nobody saw
            if outcome == "failed":
                self.record.run_at_home(lambda: self._log_failure(error))
            self.record.end(lambda gathered: self._log(outcome, gathered))
        except Exception as trouble:  # an app that keeps to no protocol; its affair with the server
            self._tell_missing(trouble)
        finally:  # a hook may raise SystemExit, too
            for block in reversed(self._blocks):
                block.__exit__(None, None, None)
            self.asgi.forget()
            self._give_back()

    def give_up(self) -> None:
        """Log the record of a call that goes on, but whose later records nobody will take."""
        try:
            self.record.end(lambda gathered: self._log("cancelled", gathered))
        except Exception as trouble:
            self._tell_missing(trouble)

    def _tell_missing(self, trouble: Exception) -> None:
        self.access.errors.error("No record of {path}", path=self.path, error=type_name(trouble))

    def _give_back(self) -> None:
        """Show what the app put into its scope, such as the route, to the middlewares around this
        one, as if it had been given theirs."""
        self._given.update(self.asgi)
        self._given.pop(MARK, None)

    def _outcome(self, error: BaseException | None) -> str:
        if error is None:
            if self.gone:
                return "disconnected"
            return "ok" if self.is_complete else "incomplete"
        if self.has_left and _is_departure(error):
            return "disconnected"
        if is_failure(error):
            return "failed"
        return "disconnected" if self.gone else "cancelled"

    @property
    def is_complete(self) -> bool:
        """Whether all was sent that the protocol asks for."""
        raise NotImplementedError

    @property
    def has_left(self) -> bool:
        """Whether the server said that the client is gone."""
        return self.gone

    @property
    def title(self) -> str:
        """What messages call it."""
        raise NotImplementedError

    def _summary(
        self, own: dict[str, Any], outcome: str, total_ms: float
    ) -> tuple[Level, str, str]:
        """Add what only this kind of call has to its own fields; return the record's level and
        message, and the field that the message tells."""
        raise NotImplementedError

    def _log_failure(self, error: BaseException | None) -> None:
        if self.hush is not None:
            self.hush.__exit__(None, None, None)
        self.access.errors.opt(exception=error).error(
            f"Unhandled {{error}} in {self.title}", error=type_name(error)
        )

    def _log(self, outcome: str, gathered: dict[str, Any]) -> None:
        if self.excluded:
            return
        access = self.access
        own: dict[str, Any] = {}
        level, message, told = self._summary(own, outcome, gathered["duration_ms"])
        own["bytes_in"] = self.bytes_in
        own["bytes_out"] = self.bytes_out
        own["outcome"] = outcome
        if self.user_agent is not None:
            own["user_agent"] = self.user_agent
        if access.names_any:
            own |= access.named(self.asgi, self.response_headers)
        for name in _IDENTITY:  # the context has them, and the message tells them
            gathered.pop(name, None)
        chosen = access.chosen({**own, **gathered, **own}, self.asgi)  # its own first, and last
        if chosen is not None:
            chosen.setdefault(told, own[told])
            least = _LEAST.get(outcome, level)
            level = level if level.no >= least.no else least
            log_with(access.logger, level, message, (), chosen, PLAIN, False)

    def _with_id(self, message: Message) -> Message:
        """Return the start of a response with the header of the request's id, unless the app sent
        that itself."""
        self._see_span()
        try:
            headers = list(message.get("headers") or ())
            own = self.access.request_id_header
            if own is not None and all(name.lower() != own for name, _ in headers):
                headers += self._extra_headers
        except (TypeError, ValueError, AttributeError):  # the server's to refuse
            return message
        return {**message, "headers": headers}

    def _take_start(self, message: Message) -> None:
        """Read the start of a response that the server has taken."""
        self.is_late = self.gone
        status = message.get("status")
        if isinstance(status, int):
            self.status = int(status)
        self.response_headers = message.get("headers") or []


def _headers_of(found: Any, wanted: set[bytes]) -> dict[bytes, bytes]:
    """Return the headers of these names; empty for those given twice."""
    given: dict[bytes, bytes] = {}
    try:
        for name, value in found or ():
            if name in wanted and isinstance(value, bytes):
                # Twice the same is nothing to rely on: which one did whom mean?
                given[name] = value if name not in given else b""
    except (TypeError, ValueError):  # no pairs: the app may make of it what it can
        pass
    return given


def _is_departure(error: BaseException) -> bool:
    """Whether an exception only says that the client has left: a framework's own, or one that came
    out of the server's `send` or `receive`, and not from the app's files and sockets."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_departure(each) or not is_failure(each) for each in error.exceptions)
    if type_name(error) in _GONE:
        return True
    at = error.__traceback__ if isinstance(error, OSError) else None
    while at is not None:
        if at.tb_frame.f_code in _channels:
            return True
        at = at.tb_next
    return False
