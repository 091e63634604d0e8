"""The gateway routes by path and protects; nothing else."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from local_stack.engines import gateway as engine
from local_stack.engines.gateway import Gateway, caddyfile
from local_stack.ports import PortChooser
from service_kit.serving import server
from tests.support.engines import running


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what arrived."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Caddy before one service that echoes and one that is down."""
    ports = PortChooser()
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", ports.draw()), Echo)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("gateway")
    echo = f"127.0.0.1:{upstream.server_port}"
    caddy = Gateway(
        folder, ports.draw(), {"auth": echo, "tracker": echo, "billing": f"127.0.0.1:{ports.draw()}"}
    )
    caddy.prepare()
    with running(caddy.program(), folder / "caddy.log", caddy.is_ready):
        yield f"http://127.0.0.1:{caddy.port}"
    upstream.shutdown()
    upstream.server_close()


def test_prefix_stays(gateway: str) -> None:
    """A service receives the path as the browser wrote it."""
    assert httpx2.get(f"{gateway}/tracker/tasks?status=open").json()["path"] == "/tracker/tasks?status=open"


def test_description_of_the_issuer(gateway: str) -> None:
    """It lies where RFC 8414 puts it for an issuer with a path, beside where OpenID Connect looks."""
    name = "/.well-known/oauth-authorization-server"
    assert httpx2.get(f"{gateway}{name}/auth").json()["path"] == f"/auth{name}"
    assert httpx2.get(gateway + name).status_code == 404


def test_start_page(gateway: str) -> None:
    """The bare address leads to the start page, and a bare service name to its folder."""
    answer = httpx2.get(gateway + "/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/auth/")
    assert httpx2.get(f"{gateway}/tracker").headers["location"] == "/tracker/"


@pytest.mark.parametrize("header", ["X-User-Guid", "X-User-Role", "X-Auth-Anything", "Remote-User"])
def test_identity_cannot_be_forged(gateway: str, header: str) -> None:
    """Headers that would tell a service who somebody is do not come in from outside."""
    echoed = httpx2.get(f"{gateway}/tracker/", headers={header: "admin"}).json()
    assert header.lower() not in echoed["headers"]


def test_token_passes(gateway: str) -> None:
    """What services check themselves passes untouched."""
    echoed = httpx2.get(f"{gateway}/tracker/", headers={"Authorization": "Bearer x"}).json()
    assert echoed["headers"]["authorization"] == "Bearer x"


@pytest.mark.parametrize("path", ["/tracker/health/ready", "/tracker/metrics", "/elsewhere"])
def test_inside_stays_inside(gateway: str, path: str) -> None:
    """Probes and figures are not for the world, and unknown paths are not found."""
    assert httpx2.get(gateway + path).status_code == 404


def test_a_service_that_is_down(gateway: str) -> None:
    """A service that does not answer is a problem in the usual shape, not a broken page."""
    answer = httpx2.get(f"{gateway}/billing/", timeout=20)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"


@pytest.mark.parametrize(("path", "status"), [("/billing/", 502), ("/nothing-here", 404)])
def test_people_get_a_page(gateway: str, path: str, status: int) -> None:
    """A browser shows words in both languages; where waiting helps it asks again by itself."""
    answer = httpx2.get(gateway + path, headers={"Accept": "text/html,*/*;q=0.8"}, timeout=20)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert ("<h1>Одну минуту</h1>" in answer.text) == (status == 502)
    assert ('http-equiv="refresh"' in answer.text) == (status == 502)
    assert ('href="/"' in answer.text) == (status == 404)


def test_no_remote_control() -> None:
    """Nobody on the machine can reconfigure the gateway through its admin port."""
    assert "admin off" in caddyfile(":8080", {"tracker": "tracker:8000"})


def test_written_anew_at_each_start(tmp_path: Path) -> None:
    """A changed port takes effect, whatever an earlier start wrote."""
    for port in (18001, 18002):
        Gateway(tmp_path, port, {"tracker": "127.0.0.1:1"}).prepare()
    assert ":18002 {" in (tmp_path / "Caddyfile").read_text()


def test_gateway_lets_go_first() -> None:
    """An idle connection ends at the gateway before it ends at the service, so that no click is lost."""
    assert f"keepalive {engine.KEEP_ALIVE_S}s" in caddyfile(":8080", {"tracker": "tracker-web:8000"})
    assert engine.KEEP_ALIVE_S < server.KEEP_ALIVE_S
