"""One world for each module, because starting the program is slow."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.outside import World
from tests.acceptance.people import ANN, CY, KIM, collection
from tests.acceptance.versions import V1, V2, V3

# A failed assertion of a story is explained as in a test.
pytest.register_assert_rewrite(
    "tests.acceptance.rows_of_people", "tests.acceptance.rows_of_versions"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a RECONSENT_HOME for the module, with the embedded PostgreSQL."""
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def web(world: World) -> Iterator[httpx.Client]:
    """Serve the world's pages; yield a client that does not follow redirects."""
    with world.serving() as client:
        yield client


@pytest.fixture(scope="module")
def shop(world: World, web: httpx.Client) -> World:
    """A shop whose new version was published and mailed with the commands of the manual."""
    assert web.get("/readyz").is_success
    for number, published in enumerate((V1, V2, V3)):
        made = world.run("policy", "publish", world.policy_file(published), "--json").json
        assert made == {"policy": "shop", "version": f"v{number + 1}", "new": True}
    accounts = world.take("import", "accounts", [ANN, CY, KIM])
    assert accounts == {"read": 3, "new": 3, "unchanged": 0, "refused": 0}
    collections = [collection(one) for one in ("ann", "cy", "kim")]
    assert world.take("import", "collections", collections)["new"] == 3
    world.work()
    return world
