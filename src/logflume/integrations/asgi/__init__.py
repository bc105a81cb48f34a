"""ASGI applications: a context and one record for each request, and the pipeline's life.

Pure ASGI: nothing is buffered, and no task is started. For Starlette, FastAPI, Litestar, Quart and
all others; none of them is imported.

    middleware.py  `LoggingMiddleware`: each call of the app, from its beginning to its end
    call.py        one call, watched; request.py and websocket.py say what is different
    trace.py       the ids that a request brings, or is given
    route.py       which of the app's routes it takes
    control.py     `RequestControl`: what trusted requests may ask for
    access.py      what its record says: the middleware's settings
    inside.py      the calls that are not over, and a shutdown that waits for them
    lifespan.py    `lifespan`: opens the pipeline before the app starts
"""

from .control import RequestControl
from .lifespan import lifespan
from .middleware import LoggingMiddleware

__all__ = ["LoggingMiddleware", "RequestControl", "lifespan"]
