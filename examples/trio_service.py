"""A TCP server on trio, logged: a context for each connection, and one wide record at its end.

    python examples/trio_service.py            # serves a few clients of its own, and ends
    python examples/trio_service.py --serve    # until Ctrl-C or SIGTERM

It adds up numbers, a line at a time: `nc 127.0.0.1 8123`, then `1 2 3.5`. The console shows the
records from INFO on; logs/trio_service.jsonl has all as JSON, and begins a new file at 1 MB.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import trio

from logflume import Pipeline, Route, context, get_logger, scope, sinks

log = get_logger("adder")

GRACE_S = 0.5
"""How long open connections may go on when the program is told to stop."""

MOST_BYTES = 1_000
"""How long a line may be."""


# The server: nothing here knows where records go.


async def lines_of(stream: trio.SocketStream) -> AsyncGenerator[str, None]:
    """Cut what a client sends into lines."""
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "backslashreplace").strip()
        if len(rest) > MOST_BYTES:
            raise ValueError("a line without an end")


async def serve(stream: trio.SocketStream) -> None:
    """Serve one connection, in a task of its own."""
    host, port, *_ = stream.socket.getpeername()
    # The context is on every record of this task, and of whatever it calls; the scope is one record
    # for the whole connection, which says how it went, also if it is cancelled.
    # What goes wrong in it is logged, and goes no further: the others are served on.
    with (
        context(client=f"{host}:{port}"),
        log.catch(message="Connection failed"),
        scope("Connection", logger=log) as connection,
    ):
        async with aclosing(lines_of(stream)) as lines:
            async for line in lines:
                with connection.timer("answer"):
                    await stream.send_all(f"{await answer(line)}\n".encode())


async def answer(line: str) -> str:
    """Add up the numbers of a line."""
    try:
        total = sum(float(number) for number in line.split())
    except ValueError as error:
        await log.opt(exception=error).awarning("Cannot add up {line}", line=line)
        scope().add(refused=line)  # to the record of the connection, wherever that was opened
        return "error: numbers, please"
    # `ainfo`, `adebug`, ... wait for room if the sinks are behind; `log.debug` never waits.
    await log.adebug("{line} makes {total}", line=line, total=total)
    return f"{total:g}"


# Clients, so that there is something to see.


async def ask(port: int, name: str, questions: list[str]) -> None:
    """Ask the server, one line after another."""
    client_log = get_logger("client").bind(name=name)
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for question in questions:
            await stream.send_all(f"{question}\n".encode())
            answer = (await stream.receive_some()).decode().strip()
            await client_log.ainfo("{question}: {answer}", question=question, answer=answer)


async def ask_together(port: int) -> None:
    """Run three clients at once, and wait for them."""
    async with trio.open_nursery() as clients:
        clients.start_soon(ask, port, "alice", ["1 2 3", "0.1 0.2"])
        clients.start_soon(ask, port, "bob", ["10 20", "ten twenty"])
        clients.start_soon(ask, port, "zoë", ["-1", "1e3 1", ""])


# The program.


async def until_told_to_stop() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("Stopping on {signal}", signal=signal.Signals(number).name)
            return


async def main(options: argparse.Namespace) -> None:
    """Serve, and then give open connections a moment to end."""
    pipeline = Pipeline(
        Route(sinks.Console(), level="INFO"),
        Route(sinks.File("logs/trio_service.jsonl", rotation="1 MB", retention=5)),
        level="DEBUG",
    )
    # The pipeline is the outermost block: what is logged on the way out is delivered, too.
    async with pipeline, trio.open_nursery() as connections:
        async with trio.open_nursery() as server:
            listen = partial(
                trio.serve_tcp, serve, options.port, host="127.0.0.1", handler_nursery=connections
            )
            [listener] = await server.start(listen)
            port = listener.socket.getsockname()[1]
            log.info("Listening on port {port}", port=port)
            await (until_told_to_stop() if options.serve else ask_together(port))
            server.cancel_scope.cancel()  # no new connections
        connections.cancel_scope.deadline = trio.current_time() + GRACE_S


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server that adds up, logged with logflume.")
    parser.add_argument("--serve", action="store_true", help="serve until Ctrl-C or SIGTERM")
    parser.add_argument("--port", type=int, help="0: any that is free; 8123 with --serve")
    chosen = parser.parse_args()
    if chosen.port is None:
        chosen.port = 8123 if chosen.serve else 0
    trio.run(main, chosen)
