"""Alert rules and dashboard: loaded by the real Prometheus, about metrics that exist, and seen to fire."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, Counter, start_http_server

from local_stack.ports import PortChooser
from service_kit import telemetry
from service_kit.relay.slots import SLOTS
from tests.support.running import eventually

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "ates-rules.yml"
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "exchange.json").read_text())

PROMTOOL, PROMETHEUS = shutil.which("promtool") or "", shutil.which("prometheus") or ""
needs_prometheus = pytest.mark.skipif(
    not (PROMTOOL and PROMETHEUS),
    reason="needs Prometheus: `./ates test` as root brings it, or apt-get install prometheus",
)


def questions() -> Iterator[tuple[str, str]]:
    """Name and expression of every alert and every panel."""
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "expression"), list(questions()), ids=lambda value: str(value)[:60])
def test_only_figures_that_are_told_are_asked_for(name: str, expression: str) -> None:
    """A misspelt metric is no error in Prometheus: the alert would only never fire."""
    assert telemetry.REQUESTS is not None
    told = {sample for metric in REGISTRY.collect() for sample in _samples_of(metric)}
    asked = set(re.findall(r"\bates_[a-z_]+", expression))
    assert asked - told == set(), name


def _samples_of(metric: Any) -> set[str]:
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
    return {metric.name + end for end in ends}


def test_every_alert_says_what_to_do() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["description"]


def test_the_rules_know_how_many_slots_there_are() -> None:
    (expression,) = [alert["expr"] for alert in ALERTS if alert["alert"] == "SlotsWithoutOwner"]
    assert expression.endswith(f"< {SLOTS}")


def promtool(*arguments: str) -> str:
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_prometheus
def test_prometheus_takes_configuration_and_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", str(DEPLOY / "prometheus.yml"))


@needs_prometheus
def test_prometheus_takes_every_question_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": expression}
        for number, (_, expression) in enumerate(questions())
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))


SERIES: dict[str, list[tuple[str, str]]] = {
    "ProcessDown": [('up{job="exchange", service="billing", process="web"}', "0x30")],
    "OutboxWaits": [('ates_outbox_oldest_unsent_seconds{service="billing"}', "0+30x30")],
    "SlotsWithoutOwner": [
        ('ates_relay_slots{service="billing", instance="a"}', "4x30"),
        ('ates_relay_slots{service="billing", instance="b"}', "3x30"),
    ],
    "ConsumerBehind": [('ates_consumer_lag_events{service="billing"}', "20000x30")],
    "ConsumerStandsStill": [
        ('ates_consumer_lag_events{service="billing"}', "5x30"),
        ('ates_consumer_last_progress_timestamp_seconds{service="billing"}', "0x30"),
    ],
    "DeadLettersWait": [('ates_dead_letters_waiting{service="billing", reason="not_json"}', "1x30")],
    "ManyDeadLetters": [('ates_dead_letters_total{service="billing"}', "0+10x30")],
    "DuplicateWithOtherContent": [
        ('ates_duplicates_with_other_content_total{service="billing"}', "0x25 1x5")
    ],
    "RequestsFail": [
        ('ates_http_requests_total{service="billing", status="200"}', "0+60x30"),
        ('ates_http_requests_total{service="billing", status="500"}', "0+10x30"),
    ],
    "RequestsSlow": [
        ('ates_http_request_seconds_bucket{service="billing", le="1"}', "0+1x30"),
        ('ates_http_request_seconds_bucket{service="billing", le="2"}', "0+50x30"),
        ('ates_http_request_seconds_bucket{service="billing", le="+Inf"}', "0+50x30"),
    ],
    "TimetableFails": [
        ('ates_timetable_ticks_total{service="billing", entry="close_days", outcome="failed"}', "0+1x30")
    ],
    "LettersWait": [('ates_letters_total{service="billing", outcome="unavailable"}', "0+0.2x60")],
    "BrokerSlow": [('ates_broker_round_trip_seconds{service="billing"}', "3x30")],
}


@needs_prometheus
@pytest.mark.parametrize("alert", [alert["alert"] for alert in ALERTS])
def test_each_alert_fires_for_what_it_is_meant(alert: str, tmp_path: Path) -> None:
    """Half an hour of figures, minute by minute, through the real rules; without them it is silent."""
    told = [{"series": series, "values": values} for series, values in SERIES[alert]]
    case = tmp_path / "case.yml"

    def write(expected: int) -> None:
        counted = {"labels": "{}", "value": expected}
        test = {
            "interval": "1m",
            "input_series": told,
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                    "eval_time": "29m",
                    "exp_samples": [counted] if expected else [],
                }
            ],
        }
        case.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}))

    write(1)
    promtool("test", "rules", str(case))
    told.clear()
    write(0)
    promtool("test", "rules", str(case))


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[str]:
    """A real Prometheus with our rules, which looks each second."""
    settings = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(RULES)]
    settings["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    port = PortChooser().draw()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


@needs_prometheus
@pytest.mark.slow
async def test_an_alert_is_seen_firing(tmp_path: Path) -> None:
    """A process that tells of a duplicate with other content, looked at by a Prometheus with our files."""
    registry = CollectorRegistry()
    duplicates = Counter("ates_duplicates_with_other_content_total", "as the kit tells it", registry=registry)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        with prometheus(tmp_path, server.server_port) as url:
            async with httpx2.AsyncClient(base_url=url) as client:

                async def firing() -> set[str]:
                    try:
                        answer = await client.get("/api/v1/alerts")
                        found = answer.json()["data"]["alerts"] if answer.is_success else []
                    except httpx2.TransportError:
                        found = []
                    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

                async def scraped() -> bool:
                    try:
                        answer = await client.get("/api/v1/query", params={"query": duplicates_told})
                        return answer.is_success and bool(answer.json()["data"]["result"])
                    except httpx2.TransportError:
                        return False

                duplicates_told = "count_over_time(ates_duplicates_with_other_content_total[1m]) > 1"
                await eventually(scraped)
                assert "DuplicateWithOtherContent" not in await firing()
                duplicates.inc()
                await eventually(lambda: _holds("DuplicateWithOtherContent", firing))
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


async def _holds(name: str, firing: Any) -> bool:
    return name in await firing()
