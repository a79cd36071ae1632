"""Pages for the recipient of a mail."""
