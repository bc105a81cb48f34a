"""`Record -> bytes`: pure, no I/O. Equal encoders share their bytes between routes."""

from .console import Console
from .json import Json

__all__ = ["Console", "Json"]
