"""`Record -> bytes`: pure, no I/O. Equal encoders share their bytes between routes."""

from .console import Console
from .json import Json
from .logfmt import Logfmt
from .template import Template

__all__ = ["Console", "Json", "Logfmt", "Template"]
