"""Notices on their way: releases, claims, attempts, pace, renderings."""
