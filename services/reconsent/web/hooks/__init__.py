"""Calls from mail providers."""
