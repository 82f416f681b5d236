"""Reading a cluster from a hook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The event loop's own threads are as many as `--parallel` says, and each is taken by a resource
# that waits for its hook (pulumi, sdk/python/cmd/pulumi-language-python-exec).
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="hooks")


async def in_thread(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``read`` returns, in a thread that no resource waits in."""
    return await asyncio.wrap_future(_THREADS.submit(read, *args, **kwargs))
