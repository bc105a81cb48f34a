"""`Record -> Record | None`: pure steps between the door and the routes, run in order.

Any callable is a processor: it returns the record, a changed copy (`record.replace(...)`), or
None to filter it out. Coroutine functions are awaited. One that fails is left out for that record,
which says so in its fields; one with an attribute `fail_closed = True` withholds the record's
content instead.
"""

from .add import Add
from .redact import Redact

__all__ = ["Add", "Redact"]
