"""`Record -> Record | None`: pure steps between the door and the routes, run in order.

Any callable is a processor: it returns the record, a changed copy (`record.replace(...)`), or
None to filter it out. Coroutine functions are awaited. One that fails is left out for that record,
which says so in its fields; one with an attribute `fail_closed = True` withholds the record's
content instead.
"""

from ..record import process_id
from .add import Add, hostname
from .dedupe import Dedupe
from .drop import Drop
from .filter import Filter
from .fingers_crossed import FingersCrossed
from .otel import Otel
from .rate_limit import RateLimit
from .redact import Redact
from .rename import Rename
from .sample import Sample
from .structlog import Structlog
from .truncate import Truncate

__all__ = [
    "Add",
    "Dedupe",
    "Drop",
    "Filter",
    "FingersCrossed",
    "Otel",
    "RateLimit",
    "Redact",
    "Rename",
    "Sample",
    "Structlog",
    "Truncate",
    "hostname",
    "process_id",
]
