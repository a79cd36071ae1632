"""Files: policies and events to read, schemas to write."""
