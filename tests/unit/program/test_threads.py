"""Hooks read clusters in threads of their own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from mtls_pki.program.threads import in_thread


def test_a_hook_reads_while_resources_hold_every_thread_of_the_event_loop() -> None:
    """As with `--parallel 1`: the resource holds the only one until its hook has answered."""

    async def run() -> int:
        loop = asyncio.get_running_loop()
        answered = threading.Event()
        with ThreadPoolExecutor(max_workers=1) as pool:
            loop.set_default_executor(pool)
            resource = loop.run_in_executor(None, answered.wait)
            try:
                return await asyncio.wait_for(in_thread(lambda: 7), timeout=30)
            finally:
                answered.set()
                await resource

    assert asyncio.run(run()) == 7
