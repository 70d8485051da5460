"""Logs: lines for people on a terminal, JSON elsewhere, never a frame's variables."""

import sys

import structlog


def configure() -> None:
    """Set up this process's log.

    structlog's own printer of tracebacks shows local variables, which hold what
    customers wrote and what models were told (P12); the plain one does not.
    """
    on_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(() if on_terminal else (structlog.processors.format_exc_info,)),
            structlog.dev.ConsoleRenderer(
                exception_formatter=structlog.dev.plain_traceback
            )
            if on_terminal
            else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
