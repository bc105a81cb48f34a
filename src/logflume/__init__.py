"""logflume: async-native structured logging for asyncio, uvloop and trio.

The way of a record, and where it lives:

    logger.py     a log call captures a record (record.py), with the fields of its task
                  (context.py), values as they are then (snapshot.py), at its level (level.py)
    engine/       door -> processors -> routes, in an anyio task group, all counted (stats.py)
    processors/   Record -> Record | None
    encoders/     Record -> bytes
    sinks/        where bytes and records go
"""

from . import encoders, processors, sinks
from .config import configure_from
from .config import default_pipeline as _default_pipeline
from .context import context, current_context
from .engine import current as _current
from .engine.batch import Batch
from .engine.pipeline import Pipeline
from .engine.processing import adopt_redaction as _adopt_redaction
from .engine.retry import Retry
from .engine.route import Route
from .errors import ConfigurationError, LogflumeError, PipelineError, Rejected, Retryable
from .exception import ExceptionInfo, Frame
from .level import Level, register_level
from .logger import Logger, disable, enable, get_logger
from .override import override
from .protocols import Encoder, Processor, Sink, SinkBatch
from .protocols import adopt_encoder as _adopt_encoder
from .record import Record
from .scope import Scope, scope
from .stats import Counts, FlushReport, RouteCounts, Stats
from .theme import Theme

__all__ = [
    "Batch",
    "ConfigurationError",
    "Counts",
    "Encoder",
    "ExceptionInfo",
    "FlushReport",
    "Frame",
    "Level",
    "LogflumeError",
    "Logger",
    "Pipeline",
    "PipelineError",
    "Processor",
    "Record",
    "Rejected",
    "Retry",
    "Retryable",
    "Route",
    "RouteCounts",
    "Scope",
    "Sink",
    "SinkBatch",
    "Stats",
    "Theme",
    "configure_from",
    "context",
    "current_context",
    "disable",
    "enable",
    "encoders",
    "get_logger",
    "log",
    "override",
    "processors",
    "register_level",
    "scope",
    "sinks",
]

__version__ = "0.1.0"

_adopt_redaction(processors.Redact)
_adopt_encoder(encoders.Json)
_current.set_default(_default_pipeline, last_resort=encoders.Console())

log = get_logger("root")
