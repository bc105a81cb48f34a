"""The contracts, on logflume's own plug-ins; and on plug-ins that break them."""

from __future__ import annotations

import asyncio
import io
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
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


class Swallowing(Sunk):
    async def send(self, batch: SinkBatch, /) -> None:
        try:
            await anyio.sleep(0.1)  # longer than a busy machine takes to cancel it
        except BaseException:  # all of them: that is what is wrong with it
            pass


class Broken(Collect):
    """Silent from the first long record on."""

    async def before(self, batch: SinkBatch) -> None:
        if len(batch.encoded) and len(batch.encoded[0]) > 3_000:
            self.keep = lambda *_: None  # type: ignore[method-assign]


class Unending(Sunk):
    async def aclose(self) -> None:
        await anyio.sleep_forever()


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
        (Sunk(route_defaults={"batsch": 1}), "test_a_route_takes_it", "a Route has no batsch"),
        (Unending(), "test_it_may_be_closed_without_a_record", "takes longer than 0.05 s"),
        (Collect(), "test_it_takes_batches_in_their_order", "is to be what was sent"),
        (Broken(), "test_it_survives_odd_records", "after the odd ones did not arrive"),
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
    arrived = (lambda self: sink.encoded) if isinstance(sink, Broken) else lambda self: [b"else"]
    within = 0.05 if isinstance(sink, Unending) else 10.0
    contract = broken(SinkContract, sink, arrived=arrived, within=within)
    with pytest.raises(Exception, match=None if told == "assert" else re.escape(told)):
        getattr(contract, test)(backend)


@pytest.mark.parametrize("options", [{}, {"use_uvloop": True}])
def test_a_sink_that_swallows_its_cancellation_fails(options: dict[str, bool]) -> None:
    """A route could not end its sends. It shows on asyncio."""
    backend = "uvloop" if options else "asyncio"
    contract = broken(SinkContract, Swallowing(), arrived=lambda self: None)
    with pytest.raises(AssertionError, match="swallowed its cancellation"):
        contract.test_a_cancelled_send_leaves_it_able_to_go_on(backend)


class Plain:
    def encode(self, record: Record, /) -> bytes:
        return f"{record.message}\n".encode()


class Raw(Plain):
    def encode(self, record: Record, /) -> bytes:
        return f"{record.message}\n".encode("utf-8", "backslashreplace")


class Unicode(Plain):
    def encode(self, record: Record, /) -> bytes:
        message = re.sub("[\x00-\x1f\ud800]", "", record.message)
        return f"{message}\n".encode()


class Constant(Plain):
    def encode(self, record: Record, /) -> bytes:
        record.call_fields["encoded"] = True
        return b"constant\n"

    def encode_into(self, records: Any, write: Any) -> list[int]:
        return [write(b"another\n") for _ in records]


class Lines(Plain):
    def encode(self, record: Record, /) -> bytes:
        return f"{record.time_ns}\n{record.level.no}\n".encode()

    def encode_into(self, records: Any, write: Any) -> None:
        for record in records:
            write(self.encode(record))


@pytest.mark.parametrize(
    ("encoder", "test", "told"),
    [
        (Plain, "test_any_record_gives_bytes", "surrogates not allowed"),
        (Raw, "test_a_record_is_one_line", "control characters in it: '\\x00"),
        (Unicode, "test_a_record_is_one_line", r"control characters in it: '\x85\x9b\u2028'"),
        (Plain, "test_those_that_are_made_alike_are_equal", "assert"),
        (Constant, "test_it_encodes_what_was_logged", "assert"),
        (Constant, "test_it_changes_nothing_of_a_record", "is another one now"),
        (Constant, "test_the_fast_way_writes_the_same", "assert"),
        (Lines, "test_the_fast_way_writes_the_same", "what it writes is no line"),
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


class AsyncioOnly:
    async def __call__(self, record: Record) -> Record:
        await asyncio.sleep(0)
        return record


class Hanging:
    async def __call__(self, record: Record) -> Record:
        await anyio.sleep_forever()
        return record


class Spanning:
    def __call__(self, record: Record) -> Record:
        return record

    def current_span(self) -> str:
        return "7b"


class Keeping(Spanning):
    def due(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("processor", "test", "told"),
    [
        (AsyncioOnly, "test_it_returns_records_and_changes_none", "unrecognized yield"),
        (Hanging, "test_what_it_returns_can_be_written", "takes longer than 0.05 s"),
        (Spanning, "test_a_span_is_two_numbers", "current_span() gives '7b'"),
        (Keeping, "test_what_it_keeps_back_it_gives_out_or_forgets", "and no release()"),
        (Mutating, "test_it_returns_records_and_changes_none", "is another one now"),
        (Mutating, "test_what_passes_comes_out_as_it_went_in", "assert"),
        (Mutating, "test_what_it_keeps_back_it_gives_out_or_forgets", "assert"),
        (Wrong, "test_it_returns_records_and_changes_none", "it returned dict, not a Record"),
        (Mutating, "test_it_runs_in_a_pipeline", "due() is to say None"),
        (Wrong, "test_it_runs_in_a_pipeline", "assert"),
        (Late, "test_inline_ones_return_nothing_to_await", "assert"),
    ],
)
def test_a_processor_that_breaks_the_contract_fails(processor: Any, test: str, told: str) -> None:
    """And it is told why."""
    within = 0.05 if processor is Hanging else 10.0
    with pytest.raises(AssertionError, match=None if told == "assert" else re.escape(told)):
        getattr(broken(ProcessorContract, processor, within=within), test)()


@pytest.mark.parametrize("contract", [SinkContract, EncoderContract, ProcessorContract])
def test_a_contract_asks_how_the_plug_in_is_made(contract: Any) -> None:
    """Whoever subclasses it without saying so is told."""
    with pytest.raises(NotImplementedError, match=r"make: how is the \w+ made\?"):
        contract().make()
