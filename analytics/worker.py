"""The stream process: consumes what the views are made of. Analytics says nothing and keeps no timetable."""

from analytics.consumers import router
from analytics.settings import AnalyticsSettings
from service_kit.streaming import run_worker


def work(settings: AnalyticsSettings, *, metrics_port: int, host: str) -> None:
    run_worker(settings, metrics_port=metrics_port, host=host, router=router)
