"""Real servers, as programs of their own, around the shops in tests/shops; and clients for them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = ["SERVERS", "Served", "serving"]

ROOT = Path(__file__).parents[1]

SERVERS = {
    f"{server}-{loop}": f"{server} {command.format(loop=loop)} --backlog=2048"
    for server, loops, command in (
        ("uvicorn", ("asyncio", "uvloop"), "--no-access-log --loop={loop}"),
        ("hypercorn", ("asyncio", "trio"), "--graceful-timeout=20 --keep-alive=60 -k {loop}"),
        ("granian", ("asyncio", "uvloop"), "--interface=asgi --loop={loop}"),
    )
    for loop in loops
}
"""The command line of each server with each loop; where it listens is added to it."""

_FRAMEWORKS = {"odd": "starlette"}  # of shops that are not named after one


class Served:
    """A server that runs a shop, and what it left in its folder."""

    def __init__(
        self, port: int, process: subprocess.Popen[bytes], folder: Path, ended: int
    ) -> None:
        self.port = port
        self.folder = folder
        self.unanswered: Counter[str] = Counter()
        """Why requests were not answered, and how many."""
        self._ended = ended
        self._process = process

    def ask(self, numbers: Sequence[int]) -> dict[int, str]:
        """Order all of these at once; return the ids of those that were answered.

        Odd ones bring an id of their own. What comes back is checked.
        """
        url = f"http://127.0.0.1:{self.port}"
        return asyncio.run(_ask_all(url, numbers, self.unanswered))

    def until_crowded(self) -> None:
        """Wait until as many orders as the crowd takes are in the app."""
        _wait_for((self.folder / "crowded").exists)

    def until_open(self, workers: int) -> None:
        """Wait until the app of so many workers has started."""
        file = self.folder / "shop.jsonl"
        _wait_for(lambda: file.exists() and file.read_bytes().count(b'"opened"') == workers)

    def end(self) -> None:
        """Send SIGTERM; return when it has ended as this server does."""
        self.terminate()
        self.wait()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait for its end, which is the one that this server has after SIGTERM."""
        try:
            status = self._process.wait(timeout=45)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self.told}") from None
        assert status == self._ended, self.told

    @property
    def told(self) -> str:
        """What it wrote to stdout and stderr."""
        return (self.folder / "told").read_text()

    def records(self) -> list[dict[str, Any]]:
        """Return the records in the file; all lines are whole."""
        lines = (self.folder / "shop.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def ledgers(self) -> list[dict[str, Any]]:
        """Return what the pipeline of each process counted, to its end."""
        return [json.loads(path.read_text()) for path in self.folder.glob("ledger-*.json")]


@contextlib.contextmanager
def serving(
    server: str, shop: str, folder: Path, *more: str, workers: int = 1, **settings: object
) -> Iterator[Served]:
    """Run a shop under a server, on a free port of loopback; skip the test if it has not both."""
    for name in ("httpx", *server.split("-"), _FRAMEWORKS.get(shop, shop)):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    at = f"--bind=127.0.0.1:{port}" if server.startswith("hypercorn") else f"--port={port}"
    command = [*SERVERS[server].split(), at, f"--workers={workers}", *more]
    told = {f"SHOP_{name.upper()}": str(value) for name, value in settings.items()}
    with _many_files_open():
        with (folder / "told").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, f"tests.shops.{shop}_shop:app"],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env={**os.environ, "SHOP_FOLDER": str(folder), **told},
                start_new_session=True,
            )
        try:
            _wait_for(lambda: _listens(port))
            # Uvicorn ends by the signal itself, but for the parent of workers.
            ended = -signal.SIGTERM if server.startswith("uvicorn") and workers == 1 else 0
            yield Served(port, process, folder, ended)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # its workers, too
                process.wait()


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        time.sleep(0.01)  # there is no telling from outside
    raise AssertionError("the server does not come that far")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _many_files_open() -> Iterator[None]:
    """Let this process and its children have a socket for each of a thousand requests."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = 4_096
    if hard != resource.RLIM_INFINITY and hard < least:
        pytest.skip(f"a process may open no more than {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, least), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _ask_all(url: str, numbers: Sequence[int], unanswered: Counter[str]) -> dict[int, str]:
    """Ask on a connection for each. A client's pool takes time by the square of its connections,
    so there are many clients."""
    import httpx

    trusted = ssl.create_default_context()  # takes longest of all that a client is made of
    answered: dict[int, str] = {}

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        given = {"x-request-id": f"r-{number}"} if number % 2 else {}
        try:
            response = await client.get(f"/orders/{number}", headers=given)
        except httpx.TransportError as error:
            unanswered[f"{error!r}: {error.__context__!r}"] += 1
            return
        if response.status_code != 200:  # the server's own, to those it cuts off
            unanswered[str(response.status_code)] += 1
            return
        answered[number] = response.headers["x-request-id"]
        assert response.json() == number
        assert not given or answered[number] == f"r-{number}"

    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for first in range(0, len(numbers), 25):
            transport = httpx.AsyncHTTPTransport(verify=trusted, trust_env=False, retries=2)
            client = httpx.AsyncClient(base_url=url, timeout=30, transport=transport)
            await stack.enter_async_context(client)
            for number in numbers[first : first + 25]:
                tasks.create_task(ask(client, number))
    return answered
