"""Logs: lines for people on a terminal, JSON elsewhere, never a frame's variables."""

import logging
import sys
from typing import TextIO, cast

import structlog
from pydantic import JsonValue
from structlog.types import EventDict, Processor

from keyturn.orchestrator.rules.text import scrub


def scrubbed(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Remove secrets from everything in a line, tracebacks included."""
    return {name: _scrub(found) for name, found in event.items()}


def _scrub(found: object) -> JsonValue:
    # A value that is neither text nor JSON is written as its repr, so that is scrubbed.
    if found is None or isinstance(found, bool | int | float):
        return found
    if isinstance(found, str | list | dict):
        return scrub.value(cast("JsonValue", found))
    return scrub.text(str(found))


def configure() -> None:
    """Set up this process's log, on standard error."""
    write_to(sys.stderr, for_good=True)


def write_to(stream: TextIO, *, for_good: bool) -> None:
    """Write every log line to a stream; `for_good`: until the process ends.

    structlog's own printer of tracebacks shows local variables, which hold customers'
    messages and models' prompts (P12); the plain one does not. Lines of libraries,
    Temporal's included, go the same way: they quote exceptions of tools.
    """
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if stream.isatty()
        else structlog.processors.JSONRenderer()
    )
    before: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrubbed,
    ]
    structlog.configure(
        processors=[*before, renderer],
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=for_good,
    )
    _configure_libraries(before, renderer, stream)


def _configure_libraries(
    before: list[Processor], renderer: Processor, stream: TextIO
) -> None:
    form = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
