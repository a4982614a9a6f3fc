"""Amounts written for people."""

_STEP = 1000


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
