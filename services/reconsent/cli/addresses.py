"""Commands for the marks on mailboxes: list, mark, lift. RULES 15.

Addresses are given, as arguments or on standard input, and never printed: what is kept is their
keyed hashes.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import click

from reconsent import terminal
from reconsent.cli.operator import operator
from reconsent.cli.with_program import with_program
from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.errors import BadInputError
from reconsent.domain.mail_report import Mark
from reconsent.domain.times import rfc3339
from reconsent.facts.record.marks import (
    MARKS,
    MailboxMark,
    Order,
    marked_mailboxes,
    marks_of,
    order_lift,
    order_mark,
    orders_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reconsent.program import Program
    from reconsent.store.postgres import Connection

_T = TypeVar("_T")
_STDIN: Final = "-"
_AT_ONCE: Final = 500
"""How many mailboxes are locked together: what is reported of them waits meanwhile."""
_given = click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
_kind = click.Choice(get_args(Mark))


def _stated(context: click.Context, parameter: click.Parameter, value: str) -> str:
    del context
    if not value.strip():
        raise click.BadParameter("should not be empty", param=parameter)
    return value


_reason = click.option("--reason", required=True, callback=_stated, help="Why; it is kept.")


@click.group("addresses", cls=terminal.Commands)
def addresses_group() -> None:
    """List, make and lift the marks on mailboxes that get no mail.

    ADDRESS may be - for lines on standard input. Addresses are never printed.
    """


@addresses_group.command("list")
@_given
@terminal.json_option
@with_program
def list_(program: Program, addresses: tuple[str, ...], *, as_json: bool) -> None:
    """Count the marked mailboxes; with addresses, tell each one's marks, by its position."""
    if not addresses:
        counts = program.database.transaction(marked_mailboxes)
        found = {mark: counts.get(mark, 0) for mark in MARKS}
        if as_json:
            terminal.document(found)
        else:
            click.echo(", ".join(f"{count:,} {mark}" for mark, count in found.items()))
        return
    hashes = _hashes(program, addresses)

    def read(connection: Connection) -> list[dict[str, Any]]:
        marks: dict[bytes, list[MailboxMark]] = defaultdict(list)
        orders: dict[bytes, list[Order]] = defaultdict(list)
        for one in marks_of(connection, hashes):
            marks[one.address_hash].append(one)
        for order in orders_of(connection, hashes):
            orders[order.address_hash].append(order)
        return [
            {
                "position": position,
                "marks": [_mark(one, orders[hash_]) for one in marks[hash_]],
                "orders": [_order(one) for one in orders[hash_]],
            }
            for position, hash_ in enumerate(hashes, 1)
        ]

    rows = program.database.transaction(read)
    if terminal.for_people(as_json=as_json):
        for row in rows:
            click.echo(f"{row['position']}: {'; '.join(map(_in_words, row['marks'])) or 'no mark'}")
    else:
        terminal.lines(rows)


@addresses_group.command("mark")
@_given
@click.option("--as", "mark", type=_kind, required=True, help="What is known of the mailboxes.")
@_reason
@terminal.json_option
@with_program
def mark_(
    program: Program, addresses: tuple[str, ...], mark: Mark, reason: str, *, as_json: bool
) -> None:
    """Mark mailboxes: nothing is sent to them until the mark is lifted."""
    hashes, at = _mailboxes(program, addresses), program.now()

    def work(some: Sequence[bytes], connection: Connection) -> int:
        held = {one.address_hash for one in marks_of(connection, some) if _holds(one, mark)}
        order_mark(connection, some, mark, said_by=operator(), reason=reason, at=at)
        return len(some) - len(held)

    changed = sum(_in_parts(program, hashes, work))
    if as_json:
        terminal.document({"addresses": len(hashes), "marked": changed})
    else:
        click.echo(f"{changed:,} marked of {terminal.plural(len(hashes), 'address', 'addresses')}")


@addresses_group.command("lift")
@_given
@click.option("--as", "mark", type=_kind, help="Lift only marks of this kind.")
@_reason
@terminal.json_option
@with_program
def lift(
    program: Program, addresses: tuple[str, ...], mark: Mark | None, reason: str, *, as_json: bool
) -> None:
    """Lift the marks on mailboxes: mail may be sent to them again."""
    hashes, at = _mailboxes(program, addresses), program.now()
    kinds = MARKS if mark is None else (mark,)

    def work(some: Sequence[bytes], connection: Connection) -> list[Mark]:
        return order_lift(connection, some, kinds, said_by=operator(), reason=reason, at=at)

    lifted = Counter(chain.from_iterable(_in_parts(program, hashes, work)))
    counts = {kind: lifted[kind] for kind in kinds}
    if as_json:
        terminal.document({"addresses": len(hashes), "lifted": counts})
    else:
        words = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        given = terminal.plural(len(hashes), "address", "addresses")
        click.echo(f"marks lifted: {words}, of {given}")


# ------------------------------------------------------------------ addresses


def _mailboxes(program: Program, addresses: Sequence[str]) -> list[bytes]:
    """Return the hashes of at least one address, each once."""
    if not addresses:
        raise click.UsageError("give an ADDRESS, or - for lines on standard input")
    return list(dict.fromkeys(_hashes(program, addresses)))


def _in_parts(
    program: Program, hashes: Sequence[bytes], work: Callable[[Sequence[bytes], Connection], _T]
) -> Iterator[_T]:
    """Do some work for one part of the mailboxes after the other, each in its own transaction."""
    for start in range(0, len(hashes), _AT_ONCE):
        yield program.database.transaction(partial(work, hashes[start : start + _AT_ONCE]))


def _hashes(program: Program, addresses: Sequence[str]) -> list[bytes]:
    """Return the hash of each address. Raises BadInputError, which names its position."""
    given = _lines() if list(addresses) == [_STDIN] else addresses
    hashes = []
    for position, address in enumerate(given, 1):
        try:
            hashes.append(program.signer.address_hash(usable_address(address)))
        except UnusableAddressError as error:
            raise BadInputError(f"address {position}: {error}") from error
    return hashes


def _lines() -> list[str]:
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadInputError("standard input: has no addresses")
    return lines


# ------------------------------------------------------------------ what is shown


def _holds(one: MailboxMark, mark: Mark) -> bool:
    return one.mark == mark and one.lifted_at is None


def _mark(one: MailboxMark, orders: Sequence[Order]) -> dict[str, Any]:
    ordered = any(
        (order.mark, order.lifts, order.at) == (one.mark, False, one.marked_at) for order in orders
    )
    return {
        "mark": one.mark,
        "marked_at": rfc3339(one.marked_at),
        "by": "operator" if ordered else "report",
        "lifted_at": rfc3339(one.lifted_at),
        "lifted_by": one.lifted_for,
    }


def _order(one: Order) -> dict[str, Any]:
    return {
        "order": "lift" if one.lifts else "mark",
        "mark": one.mark,
        "at": rfc3339(one.at),
        "by": one.said_by,
        "reason": one.reason,
    }


def _in_words(mark: dict[str, Any]) -> str:
    words = f"{mark['mark']}, last made at {mark['marked_at']} by {mark['by']}"
    if mark["lifted_at"]:
        words += f"; lifted at {mark['lifted_at']}, by {mark['lifted_by']}"
    return words
