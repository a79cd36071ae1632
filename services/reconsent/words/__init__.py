"""What people read: phrases and translations, and the mails and pages made with them.

`mails` renders the mails; `choosing`, `unsubscribing`, `policies`, `mailbox` and `refusals` render
the pages, in the layout of `frame`. The input of each page is a view in `views`.
"""
