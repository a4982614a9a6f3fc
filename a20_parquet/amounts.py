"""Amounts written for people."""

_STEP = 1000
_MINUTE = 60
_HOURS = 24
_PRECISE = 10


def format_bytes(count: float) -> str:
    """Write a number of bytes in powers of 1000, such as ``3.4 MB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < _STEP:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= _STEP
    return f"{size:,.1f} TB"


def format_count(number: int, noun: str) -> str:
    """Write a number with its noun, such as ``1 site`` or ``1,340 sites``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_seconds(seconds: float) -> str:
    """Write a time in its two largest units, such as ``8 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < _MINUTE:
        return f"{seconds:,.1f} s" if seconds < _PRECISE else f"{seconds:,.0f} s"
    minutes = round(seconds / _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    if not hours:
        return f"{minutes} min"
    days, hours_left = divmod(hours, _HOURS)
    if days:
        return f"{format_count(days, 'day')} {hours_left} h"
    return f"{hours} h {minutes} min"
