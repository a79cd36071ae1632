"""What people read: phrases, translations, mails, pages."""
