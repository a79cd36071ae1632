"""Whether a version may be published after those before it. RULES 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconsent.domain.policy import Policy, PolicyVersion


def admit(version: PolicyVersion, line: Policy | None, owners: dict[str, str]) -> None:
    """Reject a version that does not continue its policy's line. RULES 1.

    `owners` gives the policy of each known property. Raises BadInputError with the first mistake.
    """
    for place, mistake in mistakes(version, line, owners):
        raise BadInputError(f"{'.'.join(map(str, place))}: {mistake}")


def mistakes(
    version: PolicyVersion, line: Policy | None, owners: dict[str, str]
) -> list[tuple[tuple[str | int, ...], str]]:
    """List why a version cannot continue its line: the place in the file, and the message."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    latest = line.latest if line else None
    if latest is None and version.follows is not None:
        found.append((("follows",), f"{version.follows!r} is not published: publish it first"))
    elif latest and version.follows != latest.version:
        found.append((("follows",), f"must follow {latest.version!r}, the latest published"))
    if latest and version.effective_at < latest.effective_at:
        found.append(
            (
                ("effective_at",),
                f"effective before {latest.version!r}, which it follows",
            )
        )
    for index, name in enumerate(version.properties):
        if owners.get(name, version.policy) != version.policy:
            found.append((("properties", index), _moved(name, owners[name])))
        if name in version.properties[:index]:
            found.append((("properties", index), f"{name} is listed twice"))
    found += [*_declared_twice(version), *_used_by_nobody(version)]
    for name in latest.properties if latest else ():
        if latest and name not in version.properties:
            what = f"{name} is missing, which {latest.version!r} lists"
            found.append((("properties",), f"{what}: a property stays with its policy, so list it"))
    return found


def _moved(name: str, owner: str) -> str:
    return (
        f"{name} belongs to policy {owner!r}, and a property cannot move to another policy:"
        f" leave it out here, or publish these terms as the next version of {owner!r}"
    )


def _used_by_nobody(version: PolicyVersion) -> Iterable[tuple[tuple[str | int, ...], str]]:
    for index, row in enumerate(version.declares):
        if not version.users(row):
            yield ("declares", index, "controller"), "is false, and the row has no recipients"


def _declared_twice(version: PolicyVersion) -> Iterable[tuple[tuple[str | int, ...], str]]:
    seen: dict[tuple[str, str], int] = {}
    for index, row in enumerate(version.declares):
        for position, data_use in enumerate(row.uses):
            first = seen.setdefault((row.data, data_use), index)
            if first != index or data_use in row.uses[:position]:
                place = ("declares", index, "uses", position)
                yield place, f"{row.data} is already put to {data_use} in row {first + 1}"
