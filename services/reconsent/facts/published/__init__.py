"""What others were told over topics, and how far."""
