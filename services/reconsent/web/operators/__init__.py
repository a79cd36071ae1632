"""Health, metrics and the local mailbox, for operators."""
