"""Mail providers: a local mailbox, SMTP, SendGrid."""
