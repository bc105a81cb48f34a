"""The engine: how a record gets from a log call to the sinks.

door.py      the bounded queue between callers and the loop
pump.py      the task between the door and the routes: runs the processors
routes.py    the routes of a pipeline, by name
route.py     filter -> buffer -> batch -> encoder -> sink, one task each
chunk.py     records on their way from the pump to the routes
buffer.py    what a route holds
batch.py     when a batch is full or old enough
retry.py     when a failed batch is tried again
gate.py      routes that ask callers to wait
ledger.py    who counts
news.py      who tells of losses
pipeline.py  opens, closes and holds all of these, in one task group
current.py   which pipeline loggers write to; the default one; fork and exit
invocations.py  serverless platforms, and a reminder where nobody flushes
progress.py, errands.py, sources.py   waiting; asking from afar; source lines
backend.py   asyncio and trio
"""
