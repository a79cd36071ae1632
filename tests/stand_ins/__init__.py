"""Stand-ins for mail servers and services in tests: strict, and mostly in separate processes."""
