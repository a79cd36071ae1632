"""The pages of the local mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.words.frame import page
from reconsent.words.translation import calendar, moment

if TYPE_CHECKING:
    from reconsent.words.views import MailboxView, MailView, Site


def mailbox(view: MailboxView, site: Site) -> str:
    """Return the page that lists the mails."""
    dated = [(row, moment(row.sent_at, calendar(view.language))) for row in view.mails]
    return page("mailbox", view.language, site, view=view, mails=dated)


def mail(view: MailView, site: Site) -> str:
    """Return the page of one mail as text, with a link to its sandboxed HTML."""
    when = moment(view.sent_at, calendar(view.language))
    return page("mail", view.language, site, view=view, sent_at=when)
