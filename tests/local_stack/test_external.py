"""Engines that run elsewhere in place of the embedded ones."""

import pytest

from local_stack.external import External
from local_stack.layout import Layout
from local_stack.ports import LOOPBACK, PortChooser
from local_stack.troubles import Trouble


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
