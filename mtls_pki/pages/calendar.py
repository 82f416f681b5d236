"""The steps of a rotation as events of a calendar (RFC 5545)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from icalendar import Alarm, Calendar, Event

from mtls_pki.rotation.deadlines import Deadline
from mtls_pki.rotation.text import instant
from mtls_pki.version import VERSION

# Long enough to review and merge a change before.
_REMINDER = timedelta(days=7)


def calendar(trust_domain: str, found: Sequence[Deadline], *, at: datetime) -> bytes:
    """Return one event for each step, a week before which people are reminded.

    The same step of the same domain has the same identity, so that a newer file replaces it.

    Args:
        trust_domain: its name.
        found: the steps.
        at: when the file is made.
    """
    made = Calendar()
    made.add("prodid", f"-//mtls-pki//{VERSION}//EN")
    made.add("version", "2.0")
    for deadline in found:
        event = Event()
        event.add("uid", f"{deadline.step.verb}.{trust_domain}@mtls-pki")
        event.add("dtstamp", at)
        event.add("dtstart", deadline.latest)
        event.add("summary", f"{trust_domain}: {deadline.step.title}, at the latest")
        event.add(
            "description",
            "\n".join(
                [
                    *deadline.step.edit,
                    f"why now: {deadline.basis}",
                    f"mtls-pki {deadline.step.verb}; before {instant(deadline.latest)}",
                ]
            ),
        )
        reminder = Alarm()
        reminder.add("action", "DISPLAY")
        reminder.add("description", deadline.step.title)
        reminder.add("trigger", -_REMINDER)
        event.add_component(reminder)
        made.add_component(event)
    return bytes(made.to_ical())
