"""Files that people and programs hand in: policies and events."""
