"""The engine: how a record gets from a log call to the sinks.

    door.py      the bounded queue between callers and the loop
    pipeline.py  the task group: door -> processors -> routes
    route.py     filter -> buffer -> batch -> encoder -> sink, one task each
    batch.py     when a batch is full or old enough
    retry.py     when a failed batch is tried again
    ledger.py    who counts, and tells of losses
    current.py   which pipeline loggers write to; the default one; fork and exit
    backend.py   asyncio and trio
"""
