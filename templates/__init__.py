"""What people read: mails, pages and their translations."""
