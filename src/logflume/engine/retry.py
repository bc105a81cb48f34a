"""When a failed batch is sent again: `Retry`."""

from __future__ import annotations

from dataclasses import dataclass

from ..setting import positive

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a batch whose sink raised `Retryable` is sent again.

    At most `attempts` sends in all, and none that would start later than `max_elapsed` seconds
    after the first; time in which the process stood still does not count. The pause before the
    n-th repeat is drawn evenly from 0 to `initial * 2**(n-1)` seconds, at most `maximum`
    (exponential back-off with full jitter); a sink's `retry_after` lengthens it.
    """

    attempts: int = 5
    max_elapsed: float = 300.0
    initial: float = 0.5
    maximum: float = 30.0

    def __post_init__(self) -> None:
        positive("Retry.attempts", self.attempts, whole=True)
        positive("Retry.max_elapsed", self.max_elapsed, zero=True)
        positive("Retry.initial", self.initial, zero=True)
        positive("Retry.maximum", self.maximum, zero=True)

    def pause(self, repeat: int, retry_after: float | None) -> float:
        """Return the seconds to wait before the n-th repeat (from 1)."""
        import random  # only when something fails

        ceiling = min(self.maximum, self.initial * 2 ** min(repeat - 1, 32))
        wanted = retry_after if isinstance(retry_after, int | float) else 0.0
        return max(random.uniform(0.0, ceiling), wanted)
