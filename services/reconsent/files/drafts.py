"""Drafts beside a policy file: versions that are not published yet, and that it may continue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconsent.domain.change import content_hash
from reconsent.domain.policy import Policy, PolicyVersion
from reconsent.files.policy import PolicyFileError, read

if TYPE_CHECKING:
    from pathlib import Path


class Continued(NamedTuple):
    """The line that a version continues, and where the version that it follows was found.

    `file` is the draft that was taken for it, None if it is published. `differs` is a file beside
    it that has other content than what is published under its name.
    """

    line: Policy | None
    file: Path | None = None
    differs: Path | None = None


def continued(version: PolicyVersion, file: Path, published: Policy | None) -> Continued:
    """Return the line that a version continues: published versions, then drafts beside its file."""
    versions = published.versions if published else ()
    known = {v.version: v for v in versions}
    if version.follows is None:
        return Continued(published)
    drafts = _drafts(file, version.policy)
    if version.follows in known or version.version in known:
        path, draft = drafts.get(version.follows, (None, None))
        followed = known.get(version.follows)
        same = followed is None or draft is None or content_hash(draft) == content_hash(followed)
        return Continued(published, None, None if same else path)
    line: list[PolicyVersion] = []
    follows: str | None = version.follows
    while follows in drafts and drafts[follows][1] not in line:
        line.insert(0, drafts[follows][1])
        follows = line[0].follows
    if not line or follows != (versions[-1].version if versions else None):
        return Continued(published)
    whole = Policy(name=version.policy, versions=(*versions, *line))
    return Continued(whole, drafts[version.follows][0])


def _drafts(file: Path, name: str) -> dict[str, tuple[Path, PolicyVersion]]:
    """Read the other versions of a policy in the folder of a file."""
    drafts = {}
    for path in sorted({*file.parent.glob("*.yaml"), *file.parent.glob("*.yml")} - {file}):
        try:
            reading = read(path)
        except PolicyFileError:
            continue
        if reading.version and not reading.mistakes and reading.version.policy == name:
            drafts[reading.version.version] = (path, reading.version)
    return drafts
