"""Structured logs on stderr: one line an event, text for people or JSON for machines."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.metrics import LOG_ERRORS


def set_up(part: str, form: str) -> None:
    """Configure structlog for this process. `form` is "text" or "json"."""
    structlog.contextvars.bind_contextvars(part=part)
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _count_errors,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING,
        handlers=[logging.StreamHandler(sys.stderr), _ErrorCounter(logging.ERROR)],
        format="%(levelname)s %(name)s %(message)s",
    )


def _count_errors(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if event["level"] in ("error", "critical"):
        LOG_ERRORS.inc()
    return event


class _ErrorCounter(logging.Handler):
    """Counts what libraries log: asyncio tells of a task that failed unheard in this way only."""

    def emit(self, record: logging.LogRecord) -> None:
        LOG_ERRORS.inc()
