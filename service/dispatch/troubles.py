"""Troubles: what workers say of storage that fails; told now and then, remembered for a while."""

from collections.abc import Iterable

#: a trouble is logged this often while it lasts, and over if it was not heard of for so long
TELL_S = 60.0
OVER_S = 300.0


class Troubles:
    """Of one dispatcher; time is an argument."""

    def __init__(self) -> None:
        self._last: tuple[float, str] | None = None
        self._told_at: float | None = None

    def heard(self, texts: Iterable[str], now_s: float) -> str | None:
        """Notes what workers said; what is to be logged now, or None."""
        for text in texts:
            self._last = now_s, text
        if self._last is None or self._last[0] != now_s:
            return None
        if self._told_at is not None and now_s - self._told_at < TELL_S:
            return None
        self._told_at = now_s
        return self._last[1]

    def lasting(self, now_s: float) -> str | None:
        """The last trouble, if it was not long ago."""
        if self._last is None or now_s - self._last[0] > OVER_S:
            return None
        return self._last[1]
