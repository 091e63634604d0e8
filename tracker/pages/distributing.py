"""Distribute: what it will cost, the press, how far it is, who got how many, and the earlier ones."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from service_kit.identity import Actor, require
from service_kit.pages import redirect, render, wants_fragment
from service_kit.paging import Paging
from service_kit.web import Reading, ServiceRouter, Writing
from tracker import commands, queries
from tracker.domain import DistributionStatus
from tracker.pages.access import RUNNERS

router = ServiceRouter(include_in_schema=False, dependencies=[require(*RUNNERS)])


@router.post("/distributions")
async def request_distribution(request: Request, session: Writing, actor: Actor) -> Response:
    run = await commands.request_distribution(session, actor)
    if wants_fragment(request):
        return render(request, "tracker/distribution.html", {"run": run, "shares": []}, "progress")
    return redirect(request, f"/distributions/{run.id}")


@router.get("/distributions/plan")
async def distribution_plan(request: Request, session: Reading) -> Response:
    """The part of a page that offers the press; apart, as counting a million tasks takes time."""
    run = await queries.running_distribution(session)
    plan = None if run else await queries.plan(session)
    return render(request, "tracker/distributions.html", {"run": run, "plan": plan, "shares": []}, "plan")


@router.get("/distributions")
async def distributions(request: Request, session: Reading, page: Paging) -> Response:
    context: dict[str, object] = {"runs": await queries.distributions(session, page)}
    if wants_fragment(request) and page.cursor:
        return render(request, "tracker/distributions.html", context, "runs")
    run = await queries.running_distribution(session)
    context |= {"run": run, "plan": None if run else await queries.plan(session), "shares": []}
    return render(request, "tracker/distributions.html", context)


@router.get("/distributions/{distribution_id}")
async def show_distribution(request: Request, session: Reading, distribution_id: UUID) -> Response:
    run = await queries.distribution(session, distribution_id)
    done = run.status == DistributionStatus.DONE
    context = {"run": run, "shares": await queries.shares(session, run.id) if done else []}
    block = "progress" if wants_fragment(request) else None
    return render(request, "tracker/distribution.html", context, block)
