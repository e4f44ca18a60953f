"""Shares in percent that never round to all or to none where it is neither."""

from __future__ import annotations


def hundredths(share: float, digits: int = 2) -> str:
    """100 times a share from 0 to 1, without a sign: "93.10"; ">99.99" where "100.00" would say
    that nothing is missing, "<0.01" where "0.00" would say that there is nothing.
    """
    shown = f"{100 * share:.{digits}f}"
    if share < 1 and float(shown) >= 100:
        return f">{100 - 10**-digits:.{digits}f}"
    if share > 0 and float(shown) == 0:
        return f"<{10**-digits:.{digits}f}"
    return shown


def percent(share: float, digits: int = 2) -> str:
    """The same with its sign: "93.10%"."""
    return f"{hundredths(share, digits)}%"
