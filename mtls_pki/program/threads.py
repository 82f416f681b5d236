"""Work beside the resources: on the event loop, and in threads of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, cast

from pulumi import Output

P = ParamSpec("P")
T = TypeVar("T")

# The event loop's own threads are as many as `--parallel` says, and each is taken by a resource
# that waits for its hook (pulumi, sdk/python/cmd/pulumi-language-python-exec).
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="hooks")


def outstanding(work: Coroutine[Any, Any, T]) -> Output[T]:
    """Start ``work`` and return its result; the engine waits for outputs, so no run ends before."""
    started: Output[T] = Output.from_input(asyncio.ensure_future(work))
    started.apply(lambda _: None)
    return started


async def in_thread(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``read`` returns, in a thread that no resource waits in."""
    return await asyncio.wrap_future(_THREADS.submit(read, *args, **kwargs))


async def in_daemon(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, in a thread that a program that ends leaves behind."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast(T, result))

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as problem:
            error = problem
        # Where the loop has been closed, nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="daemon", daemon=True).start()
    return await done
