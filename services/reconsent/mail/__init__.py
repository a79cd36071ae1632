"""What takes mail to people: a local mailbox, SMTP, SendGrid."""
