"""The whole story on made-up people: publish, plan, mail, answer, decide.

Two invented companies change their privacy policies. The older versions are published and the
people imported. The new versions are previewed and published. The planner decides who is asked,
informed and left out, and the mails go to a local mailbox. Some people answer on the page, others
by telephone or in an app, whose events arrive on the bus. At the end everything is counted in the
database, and a few permissions are checked.

Every step that has a command runs it, and shows it as a user would type it. Running the demo again
in the same place changes nothing.
"""

from __future__ import annotations

from reconsent.demo.story import Demo

__all__ = ["Demo"]
