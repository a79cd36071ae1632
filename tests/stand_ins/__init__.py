"""Servers that stand in for other companies' in tests: strict, and in processes of their own."""
