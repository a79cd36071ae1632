"""The topics' layout: declared once, created and documented as declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import yaml
from click.testing import CliRunner

from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.bus.kafka.topics import administration, check, create
from reconsent.cli.topics import topics
from reconsent.domain.event import TOPICS
from reconsent.domain.topics import LAYOUTS
from reconsent.files.asyncapi import asyncapi, write_asyncapi


def test_every_input_has_a_layout() -> None:
    """Each input has a layout with its type and name, and one for its dead letters."""
    for topic in TOPICS.values():
        assert LAYOUTS[topic.name].type == topic.type
        assert f"{topic.name}.dead" in LAYOUTS


def test_topics_keyed_by_account_have_equal_numbers_of_partitions() -> None:
    """One process gets all events of an account."""
    keyed = [layout for layout in LAYOUTS.values() if layout.key == "PROPERTY/ACCOUNT"]
    assert len({layout.partitions for layout in keyed}) == 1
    assert {layout.name for layout in keyed} >= {"accounts", "collections", "choices"}


def test_the_document_is_the_declaration(tmp_path: Path) -> None:
    """schemas/asyncapi.yaml is generated from the layouts; its references exist."""
    schemas = files("reconsent.schemas")
    kept = schemas.joinpath("asyncapi.yaml").read_text("utf-8")
    assert yaml.safe_load(kept) == asyncapi()
    write_asyncapi(tmp_path / "asyncapi.yaml")
    assert (tmp_path / "asyncapi.yaml").read_text("utf-8") == kept
    for reference in _references(asyncapi()):
        file, _, path = reference.partition("#/")
        if file:
            assert schemas.joinpath(file).is_file()
            continue
        found = asyncapi()
        for part in path.split("/"):
            found = found[part]


def test_topics_are_created_as_declared(settings: KafkaSettings) -> None:
    """Missing topics are created once; afterwards nothing differs."""
    layouts = LAYOUTS.values()
    assert check(settings, layouts) == [
        f"{settings.topic_prefix}{name}: is missing" for name in LAYOUTS
    ]
    assert sorted(create(settings, layouts)) == sorted(settings.topic_prefix + n for n in LAYOUTS)
    assert create(settings, layouts) == []
    assert check(settings, layouts) == []
    with administration(settings) as admin:
        admin.delete_topics([settings.topic_prefix + "choices"])
    while len(check(settings, layouts)) != 1:
        pass
    assert create(settings, layouts) == [settings.topic_prefix + "choices"]


def test_different_topics_are_reported(settings: KafkaSettings) -> None:
    """An existing topic is not changed, and each difference is a line."""
    permissions = LAYOUTS["permissions"]
    create(settings, [replace(permissions, compacted=False, partitions=3)])
    assert create(settings, [permissions]) == []
    assert check(settings, [permissions]) == [
        f"{settings.topic_prefix}permissions: partitions is 3, should be 12",
        f"{settings.topic_prefix}permissions: cleanup.policy is delete, should be compact",
    ]


def test_the_commands(settings: KafkaSettings) -> None:
    """`topics create` creates them, `topics check` exits with 1 as long as something differs."""
    place = SimpleNamespace(settings=SimpleNamespace(kafka=settings))
    assert "accounts: is missing" in _run(place, ["check"], 1)
    assert _run(place, ["create", "--partitions", "2"], 0).count("created") == len(LAYOUTS)
    assert _run(place, ["create", "--json"], 0).strip() == '{"created": []}'
    assert "every topic matches its declared layout" in _run(
        place, ["check", "--partitions", "2"], 0
    )
    assert "accounts: partitions is 2, should be 12" in _run(place, ["check", "--json"], 1)


def _run(place: SimpleNamespace, arguments: Sequence[str], code: int) -> str:
    """Run a command as the command line does, which exits with what it returns."""
    runner = CliRunner()
    with runner.isolation() as (out, *_):
        result = topics.main(list(arguments), standalone_mode=False, obj=lambda: place)
        printed: str = out.getvalue().decode()
    assert (result or 0) == code
    return printed


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [str(value["$ref"])] if "$ref" in value else []
        return own + [found for part in value.values() for found in _references(part)]
    return []
