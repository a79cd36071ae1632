"""The whole story on made-up people: publish, plan, mail, answer, decide.

Two invented companies change their privacy policies. Their older versions are published, their
people imported; then come the new versions, with a preview of whom they concern; the planner
decides who is asked, told and left out; the mails land in a mailbox on this machine. Some people
follow their link and answer on the page, others by telephone or in an app, whose events come in by
the bus. In the end every number is counted in the database, and three questions are put to it: may
this data be used?

Whatever has a command is done by that command, shown as one would type it. Everything may happen
again in the same place, and then changes nothing.
"""

from __future__ import annotations

from reconsent.demo.story import Demo

__all__ = ["Demo"]
