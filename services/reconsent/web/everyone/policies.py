"""Public pages of the policies. Every published version stays readable."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from reconsent.domain.locales import best_locale
from reconsent.domain.policy import PROPERTY_NOTICE_LASTS
from reconsent.domain.times import as_written
from reconsent.facts.versions import Policies
from reconsent.web.access import Context, InjectedContext, error_page, page_response
from reconsent.web.bodies import BoundedRoute
from reconsent.words import policies as policy_pages
from reconsent.words.phrases import Words
from reconsent.words.translation import own_language
from reconsent.words.views import (
    PoliciesView,
    PolicyHistoryView,
    PolicyVersionView,
)

router = APIRouter(include_in_schema=False, route_class=BoundedRoute)


def _published(context: Context) -> Policies:
    with context.database.connection() as connection:
        return context.versions.now(connection)


def _wanted(request: Request) -> str | None:
    query = request.query_params
    return query.get("lang") or query.get("locale") or request.headers.get("accept-language")


@router.api_route("/policies", methods=["GET", "HEAD"])
def policies(request: Request, context: InjectedContext) -> Response:
    """List every policy with its version in force."""
    now = context.now()
    view = PoliciesView(
        in_force=tuple(p.in_force(now) for p in _published(context).by_name.values()),
        wanted=_wanted(request),
        language=own_language(_wanted(request)),
    )
    return page_response(policy_pages.policies(view, context.site))


@router.api_route("/policies/{policy}", methods=["GET", "HEAD"])
def history(policy: str, request: Request, context: InjectedContext) -> Response:
    """List a policy's versions."""
    found = _published(context).by_name.get(policy)
    if found is None:
        return error_page(request, 404)
    view = PolicyHistoryView(
        versions=found.versions,
        in_force=found.in_force(context.now()).version,
        locale=best_locale(_wanted(request), found.latest),
    )
    return page_response(policy_pages.policy_history(view, context.site))


@router.api_route("/policies/{policy}/{version}", methods=["GET", "HEAD"])
def text(policy: str, version: str, request: Request, context: InjectedContext) -> Response:
    """Show one version's text, and what it changed."""
    found = _published(context).by_name.get(policy)
    shown = found.by_name.get(version) if found else None
    if found is None or shown is None:
        return error_page(request, 404)
    view = PolicyVersionView(
        version=shown,
        followed=found.followed_by(shown),
        locale=best_locale(_wanted(request), shown),
    )
    return page_response(policy_pages.policy_version(view, context.site))


@router.api_route("/properties/{name}/notice.json", methods=["GET", "HEAD"])
def property_notice(name: str, request: Request, context: InjectedContext) -> Response:
    """Return the notice that a site must show; 204 if there is none. RULES 10."""
    published = _published(context)
    policy = published.of_property(name)
    version = policy.latest_material if policy else None
    headers = {"Access-Control-Allow-Origin": "*", "Vary": "Accept-Language"}
    if policy is None or version is None or name not in version.properties:
        return Response(status_code=204, headers=headers)
    until = version.effective_at + PROPERTY_NOTICE_LASTS
    if context.now() > until:
        return Response(status_code=204, headers=headers)
    locale = best_locale(_wanted(request), version)
    words = Words(version=version, locale=locale).text
    notice = {
        "policy": version.policy,
        "policy_version": version.version,
        "title": words.title,
        "summary": words.summary,
        "url": f"{context.site.public_url}/policies/{version.policy}/{version.version}",
        "effective_at": as_written(version.effective_at),
        "until": as_written(until),
    }
    return JSONResponse(notice, headers=headers | {"Content-Language": locale})
