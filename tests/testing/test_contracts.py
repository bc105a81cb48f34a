"""The contracts, on logflume's own plug-ins; and on plug-ins that break them."""

from __future__ import annotations

import asyncio
import io
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from logflume import Record, SinkBatch, encoders, processors, sinks
from logflume.testing import Collect
from logflume.testing.contracts import EncoderContract, ProcessorContract, SinkContract


class TestCollect(SinkContract):
    def make(self) -> Collect:
        self.sink = Collect(route_defaults={"encoder": encoders.Json()})
        return self.sink

    def arrived(self) -> Sequence[bytes]:
        return self.sink.encoded


class TestFile(SinkContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "app.log"

    def make(self) -> sinks.File:
        return sinks.File(self.path)

    def arrived(self) -> Sequence[bytes]:
        return self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []


class TestConsole(SinkContract):
    def make(self) -> sinks.Console:
        self.stream = io.StringIO()
        return sinks.Console(self.stream)

    def arrived(self) -> Sequence[bytes]:
        return self.stream.getvalue().encode().splitlines(keepends=True)


class TestCallback(SinkContract):
    def make(self) -> sinks.Callback:
        self.taken: list[dict[str, Any]] = []
        return sinks.Callback(self.taken.append)

    def arrived(self) -> Sequence[bytes]:
        return [it["message"].encode() for it in self.taken]


class TestJson(EncoderContract):
    def make(self) -> encoders.Json:
        return encoders.Json()


class TestFlatJson(EncoderContract):
    def make(self) -> encoders.Json:
        return encoders.Json(flat=True)


class TestEcs(EncoderContract):
    def make(self) -> encoders.Ecs:
        return encoders.Ecs()


class TestLogfmt(EncoderContract):
    def make(self) -> encoders.Logfmt:
        return encoders.Logfmt()


class TestTemplate(EncoderContract):
    lines = False  # exceptions follow on lines of their own

    def make(self) -> encoders.Template:
        return encoders.Template("{level} {message} {fields}")


class TestMsgpack(EncoderContract):
    lines = False

    def make(self) -> encoders.Msgpack:
        return encoders.Msgpack()


class TestConsoleEncoder(EncoderContract):
    lines = False  # exceptions are shown over several lines

    def make(self) -> encoders.Console:
        return encoders.Console()


class TestAdd(ProcessorContract):
    def make(self) -> processors.Add:
        return processors.Add(service="shop")


class TestDedupe(ProcessorContract):
    def make(self) -> processors.Dedupe:
        return processors.Dedupe(10.0)


class TestDrop(ProcessorContract):
    def make(self) -> processors.Drop:
        return processors.Drop("value")


class TestFingersCrossed(ProcessorContract):
    def make(self) -> processors.FingersCrossed:
        return processors.FingersCrossed(key=lambda record: record.logger)


class TestRateLimit(ProcessorContract):
    def make(self) -> processors.RateLimit:
        return processors.RateLimit(1)


class TestRedact(ProcessorContract):
    def make(self) -> processors.Redact:
        return processors.Redact()


class TestRename(ProcessorContract):
    def make(self) -> processors.Rename:
        return processors.Rename(value="renamed")


class TestSample(ProcessorContract):
    def make(self) -> processors.Sample:
        return processors.Sample(0.5)


class TestTruncate(ProcessorContract):
    def make(self) -> processors.Truncate:
        return processors.Truncate(max_characters=100)


class TestAsyncFunction(ProcessorContract):
    def make(self) -> Any:
        async def mark(record: Record) -> Record:
            return record.replace(fields={**record.fields, "marked": True})

        return mark


class Held:
    """A plug-in with the attributes that a test gives it."""

    def __init__(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)


class Sunk(Held):
    async def open(self) -> None:
        pass

    async def send(self, batch: SinkBatch, /) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Spoiling(Sunk):
    async def send(self, batch: SinkBatch, /) -> None:
        for record in batch.records:
            record.call_fields["spoilt"] = True


class Fragile(Sunk):
    async def send(self, batch: SinkBatch, /) -> None:
        for record in batch.records:
            record.message.encode("ascii")


class Unready(Sunk):
    async def aclose(self) -> None:
        self.never_made.close()  # type: ignore[attr-defined]


def broken(contract: type, made: Any, **attributes: Any) -> Any:
    """Return a contract for this plug-in, or for what this makes."""
    make: Callable[[], Any] = made if isinstance(made, type) else lambda: made
    names = {"make": lambda self: make(), **attributes}
    return types.new_class("Broken", (contract,), {}, lambda space: space.update(names))()


@pytest.mark.parametrize(
    ("sink", "test", "told"),
    [
        (Spoiling(), "test_it_changes_nothing_of_a_batch", "assert"),
        (Fragile(), "test_it_survives_odd_records", "control characters in the message"),
        (Unready(), "test_it_may_be_closed_without_a_record", "never_made"),
        (Held(open=1, send=2, aclose=3), "test_a_route_takes_it", "is to be async"),
        (Sunk(route_defaults={"timeout": 0}), "test_a_route_takes_it", "Route.timeout"),
        (Collect(), "test_it_takes_batches_in_their_order", "assert"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Held | Collect) else None,
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_sink_that_breaks_the_contract_fails(
    sink: Any, test: str, told: str, backend: str
) -> None:
    """And it is told why."""
    if isinstance(sink, Collect):
        sink.route_defaults = {"encoder": encoders.Json()}  # type: ignore[attr-defined]
    contract = broken(SinkContract, sink, arrived=lambda self: [b"something else"])
    with pytest.raises(Exception, match=None if told == "assert" else re.escape(told)):
        getattr(contract, test)(backend)


class Plain:
    def encode(self, record: Record, /) -> bytes:
        return f"{record.message}\n".encode()


class Raw(Plain):
    def encode(self, record: Record, /) -> bytes:
        return f"{record.message}\n".encode("utf-8", "backslashreplace")


class Constant(Plain):
    def encode(self, record: Record, /) -> bytes:
        record.call_fields["encoded"] = True
        return b"constant\n"

    def encode_into(self, records: Any, write: Any) -> list[int]:
        return [write(b"another\n") for _ in records]


@pytest.mark.parametrize(
    ("encoder", "test", "told"),
    [
        (Plain, "test_any_record_gives_bytes", "surrogates not allowed"),
        (Raw, "test_a_record_is_one_line", "control characters in it: b'\\x00"),
        (Plain, "test_those_that_are_made_alike_are_equal", "assert"),
        (Constant, "test_it_encodes_what_was_logged", "assert"),
        (Constant, "test_it_changes_nothing_of_a_record", "no fields"),
        (Constant, "test_the_fast_way_writes_the_same", "assert"),
    ],
)
def test_an_encoder_that_breaks_the_contract_fails(encoder: Any, test: str, told: str) -> None:
    """And it is told why."""
    with pytest.raises(AssertionError, match=None if told == "assert" else re.escape(told)):
        getattr(broken(EncoderContract, encoder), test)()


class Mutating:
    inline = True

    def __call__(self, record: Record) -> Any:
        record.fields["seen"] = True
        return record

    def passes(self, records: Sequence[Record]) -> bool:
        return True

    def due(self) -> float | None:
        return 1.0

    def release(self) -> list[Record]:
        return []


class Wrong:
    def __call__(self, record: Record) -> Any:
        return {"message": record.message}


class Late:
    inline = True

    def __call__(self, record: Record) -> Any:
        done: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        done.set_result(record)
        return done


@pytest.mark.parametrize(
    ("processor", "test", "told"),
    [
        (Mutating, "test_it_returns_records_and_changes_none", "is another one now"),
        (Mutating, "test_what_passes_comes_out_as_it_went_in", "assert"),
        (Mutating, "test_what_it_keeps_back_it_gives_out_or_forgets", "assert"),
        (Wrong, "test_it_returns_records_and_changes_none", "it returned str, not a Record"),
        (Mutating, "test_it_runs_in_a_pipeline", "due() is to say None"),
        (Wrong, "test_it_runs_in_a_pipeline", "assert"),
        (Late, "test_inline_ones_return_nothing_to_await", "assert"),
    ],
)
def test_a_processor_that_breaks_the_contract_fails(processor: Any, test: str, told: str) -> None:
    """And it is told why."""
    with pytest.raises(AssertionError, match=None if told == "assert" else re.escape(told)):
        getattr(broken(ProcessorContract, processor), test)()


@pytest.mark.parametrize("contract", [SinkContract, EncoderContract, ProcessorContract])
def test_a_contract_asks_how_the_plug_in_is_made(contract: Any) -> None:
    """Whoever subclasses it without saying so is told."""
    with pytest.raises(NotImplementedError, match=r"make: how is the \w+ made\?"):
        contract().make()
