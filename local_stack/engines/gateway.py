"""Caddy as the gateway: one origin, a path per service, nothing but routing and protection."""

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from local_stack.engines.program import Program
from local_stack.ports import LOOPBACK, answers

# Headers by which a gateway tells services who somebody is. From outside they would be a forged passport.
IDENTITY_HEADERS = (
    "X-User-Guid",
    "X-User-Role",
    "X-User-Name",
    "X-Auth-*",
    "X-Forwarded-User",
    "Remote-User",
)

_START_PAGE = "/auth/"

KEEP_ALIVE_S = 60
"""How long an idle connection to a service is used again. Less than the service keeps it open."""


class Gateway:
    """A Caddyfile, written anew at each start, and how to run it."""

    def __init__(self, folder: Path, port: int, upstreams: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = port
        self._upstreams = upstreams

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        hosts = [LOOPBACK, *(["::1"] if _speaks_ipv6() else [])]
        self._file.write_text(caddyfile(f":{self.port}", self._upstreams, bind=hosts))

    def program(self) -> Program:
        return Program(
            command=[
                str(Path(sys.executable).with_name("caddy")),
                *("run", "--config", str(self._file), "--adapter", "caddyfile"),
            ],
            # Otherwise it keeps its state in the home of whoever starts it.
            environment={"XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)},
        )

    def is_ready(self) -> bool:
        return answers(self.port)

    @property
    def _file(self) -> Path:
        return self.folder / "Caddyfile"


_NOTHING_HERE = (
    ("There is nothing here", "The address may be mistyped.", "To the start page"),
    ("Здесь ничего нет", "Возможно, в адресе опечатка.", "Перейти к началу"),
)
_UNAVAILABLE = (
    ("One moment, please", "This part of the exchange does not answer. The page asks again by itself.", None),
    ("Одну минуту", "Эта часть биржи не отвечает. Страница спросит ещё раз сама.", None),
)


def _page(texts: Sequence[tuple[str, str, str | None]], *, again_s: int | None = None) -> str:
    """What a person sees when no service is there to answer, in both languages: title, sentence, link."""
    again = f'<meta http-equiv="refresh" content="{again_s}">' if again_s else ""
    said = "".join(
        f'<section lang="{language}"><h1>{title}</h1><p>{sentence}</p>'
        + (f'<p><a href="/">{link}</a></p>' if link else "")
        + "</section>"
        for language, (title, sentence, link) in zip(("en", "ru"), texts, strict=True)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{again}'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{texts[0][0]} · aTES</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto 0;padding:0 16px}"
        "h1{font-size:1.5rem;margin:0}p{margin:.25rem 0}section{margin-bottom:2rem}a{color:#0b8a62}</style>"
        f"<main>{said}</main></html>"
    )


def caddyfile(site: str, upstreams: Mapping[str, str], *, bind: list[str] | None = None) -> str:
    """`upstreams` maps the first part of a path to the address of a service, `tracker` to `host:port`."""
    routes = "\n".join(_route(name, address) for name, address in upstreams.items())
    strip = "\n".join(f"\trequest_header -{header}" for header in IDENTITY_HEADERS)
    binding = f"\tbind {' '.join(bind)}\n" if bind else ""
    return f"""\
{{
	admin off
	auto_https off
	persist_config off
	grace_period 3s
	log default {{
		output stdout
		format json
		level WARN
	}}
}}

{site} {{
{binding}{strip}
	header -Server
	request_body {{
		max_size 12MB
	}}

	# Probes and figures of a process are for its own port, not for the world.
	@inside path_regexp ^/[a-z]+/(health|metrics)(/|$)

	# RFC 8414, 3.1: the issuer's path comes after the well-known one.
	rewrite /.well-known/oauth-authorization-server/auth /auth/.well-known/oauth-authorization-server

	redir / {_START_PAGE} 302
{routes}
	# People read a page, programs a line or a problem document.
	@people header Accept *text/html*
	handle @people {{
		header Content-Type "text/html; charset=utf-8"
		respond `{_page(_NOTHING_HERE)}` 404
	}}
	handle {{
		respond "There is nothing here. Begin at /." 404
	}}

	handle_errors {{
		header Retry-After 2
		handle @people {{
			header Content-Type "text/html; charset=utf-8"
			respond `{_page(_UNAVAILABLE, again_s=3)}`
		}}
		handle {{
			header Content-Type application/problem+json
			respond `{{"type":"about:blank","title":"Service unavailable","status":{{err.status_code}},"detail":"The service does not answer at the moment. Try again.","code":"unavailable","errors":[]}}`
		}}
	}}
}}
"""  # noqa: E501 - one line of the answer is one line of the file


def _route(name: str, address: str) -> str:
    # The prefix stays: the service knows its own public path. Only failed dials are tried again, so a
    # request that reached a service is never sent twice. Live pages are passed on as they come.
    return f"""
	redir /{name} /{name}/ 308
	handle /{name}/* {{
		respond @inside 404
		encode zstd gzip
		reverse_proxy {address} {{
			lb_try_duration 5s
			lb_try_interval 100ms
			flush_interval -1
			transport http {{
				keepalive {KEEP_ALIVE_S}s
			}}
		}}
	}}"""


def _speaks_ipv6() -> bool:
    """Browsers try ::1 first for localhost, where there is one."""
    try:
        with closing(socket.socket(socket.AF_INET6, socket.SOCK_STREAM)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
