"""The selectors API, from the one place that knows where it lives.

Multiplexes whatever is outside the compiled core, and is the core's portable poller where neither
epoll nor poll is to be had (kqueue). On Python 3.9 it is selectors2, which restarts interrupted
calls on old systems too; from 3.10 on that cannot be imported (collections.Mapping is gone), and
the standard library's selectors, its successor, has the same names.
"""

from __future__ import annotations

import sys

if sys.version_info >= (3, 10):
    from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector, SelectorKey
else:
    import warnings

    with warnings.catch_warnings():
        # selectors2 takes the abstract classes from collections itself, which 3.9 still allows.
        warnings.filterwarnings(
            "ignore", "Using or importing the ABCs from 'collections'", DeprecationWarning)
        from selectors2 import (
            EVENT_READ,
            EVENT_WRITE,
            BaseSelector,
            DefaultSelector,
            SelectorKey,
        )

__all__ = ["EVENT_READ", "EVENT_WRITE", "BaseSelector", "DefaultSelector", "SelectorKey"]
