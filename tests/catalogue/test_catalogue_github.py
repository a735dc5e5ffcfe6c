"""GitHub's endpoints, on a service that behaves like it."""

from datetime import timedelta
from typing import Any

from aiohttp import web
from support.calls import bench, data_of

from connectors import Forward, Page, Repeat, Trash
from connectors.catalogue import github
from connectors.trail import TRAIL_HEADER

REPOSITORY = {"id": 1, "full_name": "acme/shop", "private": False, "default_branch": "main", "extra": {"a": 1}}
REF = {"org": "acme", "repo": "shop"}


def issue(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number + 1000, "number": number, "title": f"issue {number}", "state": "open", **more}


class GitHubServer:
    """Issues, repositories and refusals as GitHub has them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.refusal: tuple[int, str, dict[str, str]] | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        assert request.headers["Accept"] == "application/vnd.github+json"
        assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"
        if self.refusal:
            status, message, headers = self.refusal
            return web.json_response({"message": message}, status=status, headers=headers)
        return self._reply(request, body)

    def _reply(self, request: web.Request, body: Any) -> web.Response:
        match request.method, request.raw_path.partition("?")[0]:
            case "GET", "/repos/acme/shop":
                return web.json_response(REPOSITORY, headers={"X-RateLimit-Remaining": "4999"})
            case "GET", "/apps/bot":
                return web.json_response({"id": 9, "slug": "bot", "name": "Bot"})
            case "GET", "/orgs/acme/repos" | "/repos/acme/shop/issues" | "/repos/acme/shop/releases":
                return self._page(request)
            case "GET" | "PATCH", "/repos/acme/shop/issues/7":
                return web.json_response(issue(7, **(body or {})))
            case "POST", "/repos/acme/shop/issues":
                return web.json_response(issue(8, title=body["title"], labels=[]), status=201)
            case "POST", "/repos/acme/shop/issues/7/comments":
                return web.json_response({"id": 5, "body": body["body"]}, status=201)
            case "POST", "/repos/acme/shop/actions/workflows/ci.yml/dispatches":
                return web.Response(status=204)
        return web.json_response({"message": "Not Found"}, status=404)

    def _page(self, request: web.Request) -> web.Response:
        assert request.query.get("per_page") == "100" or "page" in request.query
        page = int(request.query.get("page", 1))
        rows = {"issues": issue(page), "releases": {"id": page, "tag_name": f"v{page}"}}
        row = rows.get(request.path.rpartition("/")[2], {**REPOSITORY, "id": page})
        host = f"{request.scheme}://{request.host}"
        link = f'<{host}{request.path}?page={page + 1}>; rel="next", <{host}{request.path}?page=3>; rel="last"'
        return web.json_response([row], headers={"Link": link} if page < 3 else {})


async def outcome_of(action: Any, data: Any, server: GitHubServer, **headers: Any) -> Any:
    async with bench(server.answer) as at:
        return await at.call(action, data, **headers)


async def test_endpoints_take_and_give_githubs_objects() -> None:
    server = GitHubServer()
    assert data_of(await outcome_of(github.get_repository, REF, server))["full_name"] == "acme/shop"
    assert data_of(await outcome_of(github.get_app, {"appSlug": "bot"}, server))["slug"] == "bot"
    assert data_of(await outcome_of(github.get_issue, {**REF, "number": 7}, server))["title"] == "issue 7"
    changed = await outcome_of(github.update_issue, {**REF, "number": 7, "state": "closed", "body": None}, server)
    assert data_of(changed)["state"] == "closed"
    assert server.asked[-1] == ("PATCH", "/repos/acme/shop/issues/7", {"state": "closed", "body": None})
    created = await outcome_of(github.create_issue, {**REF, "title": "New", "labels": ["bug"]}, server)
    assert data_of(created)["title"] == "New"
    assert server.asked[-1][2] == {"title": "New", "labels": ["bug"]}
    comment = await outcome_of(github.create_comment, {**REF, "number": 7, "body": "Done"}, server)
    assert data_of(comment)["body"] == "Done"
    run = {**REF, "workflow": "ci.yml", "ref": "main"}
    assert data_of(await outcome_of(github.run_workflow, run, server)) == run


async def test_lists_follow_the_link_header_to_its_end() -> None:
    server = GitHubServer()
    async with bench(server.answer) as at:
        for action, data in (
            (github.list_issues, {**REF, "state": "all", "since": "2026-01-01T00:00:00Z"}),
            (github.list_repositories, {"org": "acme"}),
            (github.list_releases, REF),
        ):
            headers: dict[str, str] = {}
            items: list[Any] = []
            while True:
                page: Any = await at.call(action, data, **headers)
                assert isinstance(page, Page), page
                items += page.items
                if page.next_cursor is None:
                    break
                headers = {"cursor": page.next_cursor, TRAIL_HEADER: page.trail}
            assert len(items) == 3
    assert server.asked[0][1] == "/repos/acme/shop/issues?state=all&since=2026-01-01T00%3A00%3A00Z&per_page=100"
    assert server.asked[1][1] == "/repos/acme/shop/issues?page=2"


async def test_both_kinds_of_rate_limit_repeat_and_other_refusals_do_not() -> None:
    server = GitHubServer()
    server.refusal = (403, "You have exceeded a secondary rate limit.", {})
    secondary = await outcome_of(github.get_repository, REF, server)
    assert isinstance(secondary, Repeat)
    assert secondary.after == timedelta(seconds=60)
    server.refusal = (403, "API rate limit exceeded", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"})
    primary = await outcome_of(github.get_repository, REF, server)
    assert isinstance(primary, Repeat)
    assert primary.after == timedelta(seconds=90)
    server.refusal = (429, "slow down", {"Retry-After": "30"})
    assert (await outcome_of(github.get_repository, REF, server)).after == timedelta(seconds=30)
    server.refusal = (403, "Resource not accessible by personal access token", {"X-RateLimit-Remaining": "4000"})
    refused = await outcome_of(github.get_repository, REF, server)
    assert isinstance(refused, Trash)
    assert refused.reason.endswith("answered 403: Resource not accessible by personal access token")
    server.refusal = (422, "Validation Failed", {})
    assert isinstance(await outcome_of(github.create_issue, {**REF, "title": ""}, server), Trash)


async def test_a_name_cannot_lead_to_another_endpoint() -> None:
    server = GitHubServer()
    outcome = await outcome_of(github.get_repository, {"org": "acme", "repo": "shop/issues"}, server)
    assert isinstance(outcome, Trash)
    assert "answered 404: Not Found" in outcome.reason
    outcome = await outcome_of(github.get_repository, {"org": "acme", "repo": ".."}, server)
    assert "'..' cannot stand for {repo}" in outcome.reason
    assert isinstance(await outcome_of(github.get_repository, REF, server), Forward)
