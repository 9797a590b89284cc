"""What belongs to this process and not to the children that the application forks.

The core's hooks of fork close what the server has open (core/fork.pxi); they have to be told of
descriptors that Python holds. Code of the application that comes back to the server in a child ends
the child: one server must not become two.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


_CORE = f"{__package__}._core"


def own(descriptor: int) -> None:
    """A descriptor of the server's, from now until close() or disown(). -1: fine. Before the core
    is loaded there is no server yet, and nothing is noted.
    """
    if _CORE in sys.modules:
        from ._core import fork_own

        fork_own(descriptor)


def disown(descriptor: int) -> None:
    """Before it is closed by other means, or given away. -1 and others that are not owned: fine."""
    if _CORE in sys.modules:
        from ._core import fork_disown

        fork_disown(descriptor)


def close(descriptor: int) -> None:
    """Closes a descriptor that may be owned."""
    disown(descriptor)
    os.close(descriptor)


def generation() -> int:
    """Another number in each child: what is kept beside it belongs to the process that kept it."""
    from ._core import fork_count

    return fork_count()


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Calls code of the application; in a child that it has forked this never returns.

    What the code raises comes out, in the process that called it.
    """
    from ._core import fork_count, fork_exit

    before = fork_count()
    try:
        result = function(*args)
    except BaseException as problem:
        if fork_count() != before:
            fork_exit(problem)
        raise
    if fork_count() != before:
        fork_exit()
    return result
