"""`Record -> bytes`: pure, no I/O. Equal encoders share their bytes between routes."""

from .console import Console
from .ecs import Ecs
from .json import Json
from .logfmt import Logfmt
from .msgpack import Msgpack
from .template import Template

__all__ = ["Console", "Ecs", "Json", "Logfmt", "Msgpack", "Template"]
