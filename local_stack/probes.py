"""Whether a service process is ready, asked as a balancer would ask."""

import asyncio

import httpx2

from local_stack.ports import LOOPBACK


def health_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/health/ready"


def alive_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/health/live"


async def answers_200(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


async def reasons(url: str) -> list[str]:
    """Why the process behind this health address says that it is not ready; nothing when it says nothing."""
    try:
        async with httpx2.AsyncClient(timeout=3, trust_env=False) as client:
            body = (await client.get(url)).json()
    except (httpx2.HTTPError, ValueError):
        return []
    return [str(reason) for reason in body.get("reasons", [])]


async def ready(urls: dict[str, str]) -> dict[str, bool]:
    """Which of the named health addresses answer 200 now."""
    async with httpx2.AsyncClient(timeout=3, trust_env=False) as client:
        answers = await asyncio.gather(*(answers_200(client, url) for url in urls.values()))
    return dict(zip(urls, answers, strict=True))
