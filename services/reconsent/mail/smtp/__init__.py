"""Mail through any mail server."""
