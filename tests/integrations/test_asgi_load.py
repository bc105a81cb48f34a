"""A thousand requests at once, and SIGTERM: shops of three frameworks under real servers."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.servers import SERVERS, Served, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.blocking,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM"),
]

PAIRS = [
    ("uvicorn-asyncio", "fastapi"),
    ("uvicorn-uvloop", "starlette"),
    ("hypercorn-asyncio", "litestar"),
    ("hypercorn-trio", "starlette"),
    ("hypercorn-trio", "fastapi"),
    ("hypercorn-trio", "litestar"),
    ("granian-asyncio", "fastapi"),
    ("granian-uvloop", "litestar"),
]
EACH = ["uvicorn-uvloop", "hypercorn-trio", "granian-asyncio"]
OF_A_REQUEST = Counter(
    ["dependency", "came", "packed", "weighed", "filled", "mailed", "{method} {path} {status}"]
)


def by_number(records: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Return the records of each order, by what its own path says."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if "path" in record["fields"]:
            found[int(record["fields"]["path"].rpartition("/")[2])].append(record)
    return found


def check_order(number: int, request_id: str, records: list[dict[str, Any]]) -> None:
    """All that was logged of an order is there once, and has its context and no other."""
    kinds = Counter(record.get("template", record["message"]) for record in records)
    assert kinds == OF_A_REQUEST
    tenant = f"t{number % 7}"
    for record in records:
        fields = record["fields"]
        assert fields["request_id"] == request_id
        assert fields["tenant"] == tenant
        assert fields.get("route", "").startswith("/orders/{number")
        assert fields.get("number", number) == number
        if record["logger"] == "access":
            assert record["message"] == f"GET /orders/{number} 200"
            assert (fields["mail"], fields["pack_count"], fields["outcome"]) == (number, 1, "ok")


def check_ledger(served: Served) -> None:
    """Every pipeline's counts add up, with nothing on its way; together, they are the file."""
    ledgers = served.ledgers()
    for ledger in ledgers:
        for counts in (ledger["door"], *ledger["routes"].values()):
            lost = sum(counts["dropped"].values())
            assert counts["received"] == counts["delivered"] + counts["filtered"] + lost
            assert counts["pending"] == 0
        assert ledger["door"]["dropped"] == ledger["routes"]["shop.jsonl"]["dropped"] == {}
    written = sum(ledger["routes"]["shop.jsonl"]["delivered"] for ledger in ledgers)
    assert written == len(served.records())


@pytest.mark.parametrize(("server", "shop"), PAIRS)
def test_a_thousand_requests_at_once_keep_their_contexts(
    server: str, shop: str, tmp_path: Path
) -> None:
    """All are in the app together; afterwards each has just its own records, with its own id."""
    with serving(server, shop, tmp_path, crowd=1_000) as served:
        ids = served.ask(range(1_000))
        assert not served.unanswered
        served.end()
    assert len(set(ids.values())) == len(ids) == 1_000
    records = served.records()
    assert len(records) == 1_000 * OF_A_REQUEST.total() + 2
    assert [records[0]["message"], records[-1]["message"]] == ["opened", "closing"]
    orders = by_number(records)
    for number, request_id in ids.items():
        check_order(number, request_id, orders[number])
    check_ledger(served)
    assert len(served.ledgers()) == 1
    assert "dropped" not in served.told


@pytest.mark.parametrize("server", SERVERS)
def test_sigterm_lets_those_inside_finish_and_delivers_all(server: str, tmp_path: Path) -> None:
    """Who was in the app when it came is answered; who is answered has all records."""
    late: dict[int, str] = {}
    ids: dict[int, str] = {}
    with serving(server, "starlette", tmp_path, crowd=100, work=0.5) as served:
        asking = threading.Thread(target=lambda: ids.update(served.ask(range(100))))
        asking.start()
        served.until_crowded()
        served.terminate()
        late.update(served.ask(range(100, 120)))
        asking.join()
        served.wait()
    assert sorted(ids) == list(range(100))
    records = served.records()
    assert records[-1]["message"] == "closing"
    orders = by_number(records)
    for number, request_id in {**ids, **late}.items():
        check_order(number, request_id, orders[number])
    check_ledger(served)


@pytest.mark.parametrize(
    ("server", "option"),
    [
        ("uvicorn-asyncio", "--timeout-graceful-shutdown=1"),
        ("hypercorn-trio", "--graceful-timeout=1"),
    ],
)
def test_those_whom_the_server_cuts_off_are_logged_as_cancelled(
    server: str, option: str, tmp_path: Path
) -> None:
    """Servers that wait only so long cancel the rest: each has its record, before the end."""
    with serving(server, "fastapi", tmp_path, option, crowd=50, work=60) as served:
        asking = threading.Thread(target=served.ask, args=(range(50),))
        asking.start()
        served.until_crowded()
        served.end()
        asking.join()
    records = served.records()
    access = [record for record in records if record["logger"] == "access"]
    assert {record["fields"]["outcome"] for record in access} == {"cancelled"}
    assert {record["level"] for record in access} == {"WARNING"}
    assert len({record["fields"]["request_id"] for record in access}) == len(access) == 50
    check_ledger(served)


@pytest.mark.parametrize("server", EACH)
def test_what_a_stuck_sink_does_not_take_in_time_is_counted_and_told(
    server: str, tmp_path: Path
) -> None:
    """The end comes after the pipeline's shutdown timeout; the file beside has everything."""
    with serving(server, "litestar", tmp_path, crowd=100, stuck=True) as served:
        ids = served.ask(range(100))
        assert not served.unanswered
        before = time.monotonic()
        served.end()
        took = time.monotonic() - before
    assert 0.9 < took < 10
    assert len(ids) == 100
    (ledger,) = served.ledgers()
    stuck = ledger["routes"]["stuck"]
    assert (stuck["received"], stuck["dropped"]) == (702, {"shutdown": 100})
    assert "100 records dropped by route 'stuck': shutdown" in served.told
    assert len(by_number(served.records())) == 100
    check_ledger(served)


# Not hypercorn: once one of its workers has ended, it kills the others, whatever they do.
@pytest.mark.parametrize("server", ["uvicorn-uvloop", "granian-asyncio"])
def test_workers_share_the_file_and_end_alike(server: str, tmp_path: Path) -> None:
    """Each is a process with a pipeline of its own, which SIGTERM to their parent drains."""
    with serving(server, "starlette", tmp_path, workers=2) as served:
        served.until_open(2)
        ids = served.ask(range(200))
        assert not served.unanswered
        served.end()
    assert len(set(ids.values())) == 200
    records = served.records()
    orders = by_number(records)
    for number, request_id in ids.items():
        check_order(number, request_id, orders[number])
    assert Counter(record["message"] for record in records)["closing"] == 2
    assert len(served.ledgers()) == 2
    check_ledger(served)


@pytest.mark.parametrize("server", EACH)
def test_other_ends_have_their_records_under_each_server(server: str, tmp_path: Path) -> None:
    """A failure, a client that leaves, and a websocket that SIGTERM closes."""
    httpx = pytest.importorskip("httpx")
    client_of = pytest.importorskip("websockets.sync.client")
    option = ["--graceful-timeout=1"] if server.startswith("hypercorn") else []
    with serving(server, "odd", tmp_path, *option) as served:
        at = f"127.0.0.1:{served.port}"
        failed = httpx.get(f"http://{at}/boom", trust_env=False)
        with httpx.stream("GET", f"http://{at}/endless", trust_env=False) as response:
            next(response.iter_raw())
        with client_of.connect(f"ws://{at}/echo", proxy=None) as connection:
            connection.send("a")
            assert connection.recv() == "a"
            assert connection.ping().wait(30)  # the app listens again: granian tells nobody else
            served.end()
    ends = access_by_path(served.records())
    boom, left, closed = ends["/boom"], ends["/endless"], ends["/echo"]
    assert (failed.status_code, boom["status"], boom["outcome"]) == (500, 500, "failed")
    assert failed.headers["x-request-id"] == boom["request_id"]
    assert (left["status"], left["outcome"]) == (200, "disconnected")
    assert (closed["messages_in"], closed["messages_out"]) == (1, 1)
    # Hypercorn waits for it until its time is over.
    assert closed["outcome"] == ("cancelled" if server.startswith("hypercorn") else "ok")
    [error] = [record for record in served.records() if "exception" in record]
    assert error["fields"]["request_id"] == boom["request_id"]
    check_ledger(served)


@pytest.mark.parametrize("server", ["granian-asyncio", "granian-uvloop"])
def test_a_websocket_that_no_shutdown_reaches_has_its_record(server: str, tmp_path: Path) -> None:
    """Granian tells of it only an app that listens at that moment; others hear nothing more."""
    client_of = pytest.importorskip("websockets.sync.client")
    with serving(server, "odd", tmp_path, patience=0.2) as served:
        at = f"127.0.0.1:{served.port}"
        with client_of.connect(f"ws://{at}/deaf", proxy=None) as connection:
            assert connection.recv() == "a"
            served.end()
    left = access_by_path(served.records())["/deaf"]
    assert (left["outcome"], left["messages_out"]) == ("cancelled", 1)
    check_ledger(served)


def access_by_path(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the fields of the records at the ends of all calls, one for each path."""
    return {
        record["fields"]["path"]: record["fields"]
        for record in records
        if record["logger"] == "access" and "outcome" in record["fields"]
    }
