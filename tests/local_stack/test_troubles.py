"""Each trouble is one sentence that names what is wrong and the way out."""

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from local_stack import checks
from local_stack.engines import jars
from local_stack.layout import Layout
from local_stack.ports import PortChooser, answers, is_free
from local_stack.restart_delay import LONGEST_S, STABLE_S, RestartDelay
from local_stack.troubles import Trouble


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [("upp", "upp"), ("up --prot 80", "--prot"), ("night --days soon", "--days")],
    ids=["command", "option", "value"],
)
def test_what_is_typed_wrong(typed: str, wrong: str) -> None:
    """It is named, with the way to the help; nothing of our own program is shown."""
    command = [sys.executable, "-m", "local_stack", *typed.split()]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert wrong in told.stderr
    assert "--help" in told.stderr
    assert "Traceback" not in told.stderr


def test_taken_port() -> None:
    """The port is named, and another one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        assert not is_free(port)
        assert answers(port)
        with pytest.raises(
            Trouble, match=rf"Port {port}, meant for the gateway, is taken.*--port {port + 100}"
        ):
            Layout.choose(port)


def test_little_memory() -> None:
    """What is there, what is needed, what to do."""
    with pytest.raises(Trouble, match=r"Only 1\.5 GB of memory is free.*needs 2 GB: close other programs"):
        checks.check_memory(int(1.5 * checks.GIB))
    checks.check_memory(3 * checks.GIB)


def test_little_disk(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"Only 0\.5 GB is free on the disk.*ATES_HOME"):
        checks.check_disk(checks.GIB // 2, tmp_path)


def test_ports_are_drawn_once() -> None:
    """No two parts of an exchange get the same port, and none lies where connections take theirs."""
    layout = Layout.choose(18998)
    ports = [
        layout.kafka,
        layout.kafka_controller,
        layout.postgres,
        *layout.web.values(),
        *layout.worker.values(),
    ]
    assert len(set(ports)) == len(ports)
    assert all(20000 <= port < 32000 for port in ports)
    first = PortChooser().draw()
    assert PortChooser({first}).draw() != first


def test_ports_are_claimed() -> None:
    """What one process drew no other draws while its program starts, however many draw at once."""
    draw = (
        "from local_stack.ports import PortChooser\nc = PortChooser()\nprint([c.draw() for _ in range(100)])"
    )
    drawers = [
        subprocess.Popen([sys.executable, "-c", draw], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    drawn = [port for drawer in drawers for port in json.loads(drawer.communicate()[0])]
    assert len(drawn) == len(set(drawn)) == 400


def test_jars_are_locked() -> None:
    """Kafka is fetched by coordinates and hash; no address of a host stands in the repository."""
    locked = jars.locked_jars()
    assert jars.KAFKA in {jar.coordinates for jar in locked}
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert "://" not in jars.LOCK.read_text()


class TestRestartDelay:
    def test_grows_to_a_limit(self) -> None:
        """A process that crashes at once rests twice as long each time, up to a limit."""
        delay = RestartDelay()
        rests = [delay.after(0.1) for _ in range(12)]
        assert rests[:4] == [0.2, 0.4, 0.8, 1.6]
        assert rests[-1] == LONGEST_S

    def test_a_stable_minute_is_forgiven(self) -> None:
        delay = RestartDelay()
        for _ in range(6):
            delay.after(1)
        assert delay.after(STABLE_S) == 0.2
