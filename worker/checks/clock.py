"""Checks of the clock: waiting times, delays and the order of the trash come from it."""

from datetime import UTC, datetime

import aiormq

from worker.checks.finding import Finding, ok, unknown, warning

MOST_SECONDS = 2.0

_INTERCEPTOR = (
    "To compare, let the broker stamp messages: message_interceptors.incoming.set_header_timestamp.overwrite = false "
    "in rabbitmq.conf (3.12 and newer)."
)


def check_broker_clock(message: aiormq.abc.DeliveredMessage, now: datetime) -> Finding:
    """Compare with the time that the broker has stamped on a message just sent, if it does so."""
    properties = message.header.properties
    stamp = (properties.headers or {}).get("timestamp_in_ms")
    if isinstance(stamp, int):
        return compare_clocks("broker's clock", datetime.fromtimestamp(stamp / 1000, UTC), now)
    if isinstance(properties.timestamp, datetime):
        return compare_clocks("broker's clock", properties.timestamp.astimezone(UTC), now)
    return unknown("broker's clock", "the broker does not tell its time", _INTERCEPTOR)


def compare_clocks(check: str, theirs: datetime, ours: datetime) -> Finding:
    """Warn when the clocks differ by more than a little."""
    seconds = (theirs - ours).total_seconds()
    said = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(seconds) <= MOST_SECONDS:
        return ok(check, said)
    return warning(check, said, "Let both machines follow a time server: timedatectl set-ntp true")
