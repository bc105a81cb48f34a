"""A thousand requests at once, and SIGTERM: shops of three frameworks under real servers."""

from __future__ import annotations

import sys
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.servers import SERVERS, Served, serving

pytestmark = [
    pytest.mark.real,
    pytest.mark.blocking,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM"),
]

SHOPS = ("starlette", "fastapi", "litestar")
PAIRS = [
    # Each server has one shop always, and the others if there is time for slow tests.
    pytest.param(server, shop, id=f"{server}-{shop}", marks=() if turn else pytest.mark.slow)
    for number, server in enumerate(SERVERS)
    for shop, turn in zip(SHOPS, [number % 3 == place for place in range(3)], strict=True)
]
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
    """Who was in the app when it came is answered and logged; who came after is both or neither."""
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
