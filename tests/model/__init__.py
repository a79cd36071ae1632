"""RULES.md written a second time, naively: one account at a time, from raw events, no caches.

uses.py        what versions declare and decisions name, as plain values    (rules 2 to 6, 10)
register.py    everything recorded, and what it comes to for one account    (7, 17, 18, 27, 28)
permission.py  what its data may be used for, and how its ledger reads      (18, 20 to 26)
notices.py     notices as kept: superseded, closed, open, suppressed        (9, 10, 12, 15)
rules.py       World: who is told, mailed and asked; the page; expiry       (8 to 16)
steps.py       what happens, as values; the Player takes steps on the model
policies.py, worlds.py  random worlds as lists of steps, for the model and a real system alike
cases.py       tests/cases/rules.yaml as such lists, with what must be seen

Nothing here shares code with the program, so agreement between the two means something.
"""

from __future__ import annotations
