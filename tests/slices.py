"""How long an event loop works at a stretch: in processor time, whatever else runs."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

BEAT_S = 0.005
# Nothing that strangers write may hold a loop for longer.
MOST_MS = 50.0
BYTES = 64_000


class Beats:
    """A heartbeat on the loop; it knows what was worked between two of its beats."""

    def __init__(self) -> None:
        self.worst_ms = 0.0

    async def beat(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(BEAT_S)
            worked = (time.thread_time() - before) * 1_000
            self.worst_ms = max(self.worst_ms, worked)


@asynccontextmanager
async def beating() -> AsyncGenerator[Beats]:
    """Let a heart beat meanwhile; the collector's pauses are the process's own."""
    beats = Beats()
    gc.collect()
    gc.disable()
    task = asyncio.create_task(beats.beat())
    await asyncio.sleep(0)
    try:
        yield beats
        # What was begun last is seen as well.
        await asyncio.sleep(2 * BEAT_S)
    finally:
        gc.enable()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _filled(piece: str) -> str:
    return piece * (BYTES // len(piece.encode()))


# Each makes another part of what marks, parses or compares work hard.
HOSTILE = {
    "mixed scripts": _filled("p\u0430yp\u0430l \u0430nd \u0435\u0443\u0435s "),
    "foreign digits": _filled("\u0663"),
    "piled marks": _filled("\u0301"),
    "unseen characters": _filled("a\u200b"),
    "empty lines": _filled("x\n\n\n\n"),
    "wide gaps": _filled("x" + " " * 20),
    "links": _filled("http://a.b "),
    "links of other scripts": _filled("http://\u00fc\u00f6\u0430\u00e4.com "),
    "swapped words": " ".join(f"w{n ^ 1}" for n in range(BYTES // 6)),
    "brackets": _filled("{[<\u201c"),
    "markup": _filled("&<>\"'"),
}
