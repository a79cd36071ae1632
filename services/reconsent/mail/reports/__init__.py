"""Mails that report what became of a mail: RFC 3464 (delivery), RFC 5965 (complaints)."""
