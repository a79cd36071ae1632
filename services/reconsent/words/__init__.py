"""What people read: phrases and translations, and the mails and pages made with them.

`mails` has the mails; `choosing`, `unsubscribing`, `policies`, `mailbox` and `refusals` have the
pages, which `frame` puts into one frame. What a page needs to know is a view of `views`.
"""
