"""SendGrid's Event Webhook: posts that are signed, late, duplicated and out of order."""

from __future__ import annotations

import base64
import heapq
import json
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Json = dict[str, Any]

SIGNATURE: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP: Final = "X-Twilio-Email-Event-Webhook-Timestamp"

_FIELDS: Final[dict[str, Json]] = {
    "processed": {},
    "delivered": {"response": "250 2.0.0 OK"},
    "deferred": {"response": "451 4.7.1 Try again later", "attempt": "5"},
    "bounce": {
        "reason": "550 5.1.1 <{email}>: no such mailbox", "status": "5.1.1", "type": "bounce",
        "bounce_classification": "Invalid Address",
    },
    "blocked": {
        "reason": "550 5.7.1 mail from your network is blocked", "status": "5.7.1",
        "type": "blocked", "bounce_classification": "Reputation",
    },
    "dropped": {"reason": "Bounced Address"},
    "spamreport": {},
    "unsubscribe": {},
    "group_unsubscribe": {"asm_group_id": 17302},
    "group_resubscribe": {"asm_group_id": 17302},
    "open": {"useragent": "Mozilla/5.0", "ip": "203.0.113.7"},
    "click": {"url": "https://shop.example/", "ip": "203.0.113.7"},
}  # fmt: skip


class Signing:
    """A key pair of the webhook, and its signatures."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        """The public key as SendGrid's settings show it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        encoded = self._key.public_key().public_bytes(serialization.Encoding.DER, form)
        return base64.b64encode(encoded).decode()

    def headers(self, body: bytes, at: float | None = None) -> dict[str, str]:
        """Return the headers of a post that is signed at a time (default: now)."""
        timestamp = str(int(time.time() if at is None else at))
        signed = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            SIGNATURE: base64.b64encode(signed).decode(),
            TIMESTAMP: timestamp,
            "Content-Type": "application/json",
        }


def event(kind: str, email: str, arguments: Json, at: float, **changed: object) -> Json:
    """Return an event as SendGrid posts it; `blocked` is a bounce of that type."""
    fields = {
        name: value.format(email=email) if isinstance(value, str) else value
        for name, value in _FIELDS[kind].items()
    }
    return {
        "email": email,
        "timestamp": int(at),
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": "bounce" if kind == "blocked" else kind,
        "category": ["notices"],
        "sg_event_id": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        **fields,
        **arguments,
        **changed,
    }


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Where and how events are posted.

    The events of a mail are in `fates` by its address, else `otherwise`, in order of time. An event
    is posted between the `late` seconds after it happened, `copies` times, at most `batch` in a
    post and, if `shuffled`, in random order. `seed` makes that reproducible.
    """

    url: str
    fates: dict[str, list[str]] = field(default_factory=dict)
    otherwise: list[str] = field(default_factory=lambda: ["processed", "delivered"])
    late: tuple[float, float] = (0.0, 0.0)
    copies: int = 1
    batch: int = 1000
    shuffled: bool = False
    seed: int = 0


class Posting:
    """Posts the events of accepted mails; retries if the response is not 2xx."""

    def __init__(self, signing: Signing) -> None:
        self._signing = signing
        self._habits: Habits | None = None
        self._chance = random.Random()
        self._waiting: list[tuple[float, float, int, Json]] = []
        self._number = 0
        self._posting = False
        self._changed = threading.Condition()
        self.responses: Counter[str] = Counter()
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self, habits: Habits) -> None:
        """Post from now on."""
        with self._changed:
            self._habits = habits
            self._chance.seed(habits.seed)
            self._changed.notify()

    def accepted(self, personalizations: list[Json]) -> None:
        """Schedule the events of accepted mails."""
        with self._changed:
            if self._habits is None:
                return
            now = time.time()
            for one in personalizations:
                email = one["to"][0]["email"]
                fate = self._habits.fates.get(email, self._habits.otherwise)
                for place, kind in enumerate(fate):
                    happened = event(kind, email, one["custom_args"], now + place)
                    self._wait(happened, self._habits)
            self._changed.notify()

    def _wait(self, happened: Json, habits: Habits) -> None:
        for _ in range(habits.copies):
            due = time.time() + self._chance.uniform(*habits.late)
            self._number += 1
            order = self._chance.random() if habits.shuffled else 0.0
            heapq.heappush(self._waiting, (due, order, self._number, happened))

    def counts(self) -> Json:
        """Count the waiting events, and the posts by their responses."""
        with self._changed:
            waiting = len(self._waiting) + self._posting
            return {"waiting": waiting, "responses": dict(self.responses)}

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while True:
                with self._changed:
                    batch, habits = self._next()
                    self._posting = bool(batch)
                if habits and batch:
                    self._post(client, habits, batch)

    def _next(self) -> tuple[list[tuple[float, float, int, Json]], Habits | None]:
        """Return the due events; wait if there are none."""
        now = time.time()
        if self._habits is None or not self._waiting:
            self._changed.wait()
            return [], None
        if self._waiting[0][0] > now:
            self._changed.wait(self._waiting[0][0] - now)
            return [], None
        batch: list[tuple[float, float, int, Json]] = []
        while self._waiting and self._waiting[0][0] <= now and len(batch) < self._habits.batch:
            batch.append(heapq.heappop(self._waiting))
        return batch, self._habits

    def _post(
        self, client: httpx.Client, habits: Habits, batch: list[tuple[float, float, int, Json]]
    ) -> None:
        if habits.shuffled:
            self._chance.shuffle(batch)
        body = json.dumps([happened for *_, happened in batch]).encode()
        try:
            response = client.post(habits.url, content=body, headers=self._signing.headers(body))
            result, accepted = str(response.status_code), response.is_success
        except httpx.TransportError as error:
            result, accepted = type(error).__name__, False
        with self._changed:
            self.responses[result] += 1
            self._posting = False
            if not accepted:
                due = time.time() + 0.5
                for _, order, number, happened in batch:
                    heapq.heappush(self._waiting, (due, order, number, happened))
