"""The tests that every sink, encoder and processor should pass, for plug-ins of your own, too.

Subclass one in a test module of yours, under a name that pytest collects, and say how to make the
plug-in; add tests of its own below:

    class TestMySink(SinkContract):
        def make(self) -> MySink:
            return MySink("localhost", 1234)

        def test_it_says_where_it_is(self) -> None: ...

The tests run the loops by themselves (asyncio, uvloop and trio, as far as they are installed), so
that no plugin for async tests is needed. What `make` needs of pytest, a fixture of the class that
says `autouse=True` can put on `self`, which is another one for each test.
"""

from .encoder import EncoderContract
from .processor import ProcessorContract
from .sink import SinkContract

__all__ = ["EncoderContract", "ProcessorContract", "SinkContract"]
