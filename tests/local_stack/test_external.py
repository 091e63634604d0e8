"""Engines that run elsewhere in place of the embedded ones."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from local_stack.external import External
from local_stack.layout import Layout
from local_stack.ports import LOOPBACK, PortChooser
from local_stack.troubles import Trouble
from tests.support import engines
from tests.support.exchange import Exchange


class TestPlaces:
    def test_they_replace_the_embedded_ones(self) -> None:
        """Services are told the named addresses, with the usual ports where none is said."""
        external = External("postgresql://root:secret@db.example/postgres", "broker.example")
        layout = Layout.choose(PortChooser().draw(), external)
        assert (layout.postgres_host, layout.postgres) == ("db.example", 5432)
        assert layout.kafka_address == "broker.example:9092"

    def test_one_without_the_other(self) -> None:
        """What is not named stays embedded."""
        layout = Layout.choose(PortChooser().draw(), External(kafka="broker.example:19092"))
        assert layout.kafka_address == "broker.example:19092"
        assert layout.postgres_host == LOOPBACK

    @pytest.mark.parametrize(
        "external",
        [External("mysql://root@db.example/x"), External("db.example:5432"), External(kafka="broker:port")],
        ids=["other database", "no address", "no port"],
    )
    def test_what_is_no_address(self, external: External) -> None:
        """A sentence names the setting; nothing was started."""
        with pytest.raises(Trouble, match="ATES_EXTERNAL"):
            external.refuse_silent()

    def test_one_that_does_not_answer(self) -> None:
        """It is said before anything is started, without the password."""
        port = PortChooser().draw()
        with pytest.raises(Trouble, match=f"PostgreSQL does not answer at {LOOPBACK}:{port}"):
            External(f"postgresql://root:secret@{LOOPBACK}:{port}/postgres").refuse_silent()


@pytest.fixture
def exchange(run_folder: Path) -> Iterator[Exchange]:
    folder = run_folder / "external"
    folder.mkdir()
    made = Exchange(folder / "home")
    with engines.postgres(folder) as server, engines.kafka(folder) as broker:
        try:
            made.up("--no-demo", "--database-url", server.dsn(), "--kafka", broker.address)
            yield made
        finally:
            with suppress(psutil.Error):
                made.ates("down")


@pytest.mark.slow
def test_an_exchange_on_engines_that_run_elsewhere(exchange: Exchange) -> None:
    """All of it is ready, and no engine of its own runs."""
    assert exchange.all_ready()
    assert not {"postgres", "kafka"} & {entry["name"] for entry in exchange.status["processes"]}
    assert exchange.token("admin")
