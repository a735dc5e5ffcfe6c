"""GitHub's endpoints: REST, pages by `Link` header, primary and secondary rate limits.

https://docs.github.com/rest
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from applications.catalogue.github import GitHub
from applications.http.response import Response
from connectors.endpoints import Endpoints
from connectors.paging import LinkHeader
from connectors.rules import Rules, repeat_when


def is_rate_limited(reply: Response) -> bool:
    """Whether a refusal is about a limit: the primary one is used up, or a secondary one is hit.

    https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    is_used_up = reply.headers.get("x-ratelimit-remaining") == "0"
    return is_used_up or "retry-after" in reply.headers or "rate limit" in reply.problem.lower()


class User(BaseModel):
    """A person, organization or bot."""

    id: int
    login: str


class Repository(BaseModel):
    """A repository."""

    id: int
    full_name: str
    private: bool
    default_branch: str = "main"
    description: str | None = None
    html_url: str = ""
    archived: bool = False
    pushed_at: datetime | None = None


class Label(BaseModel):
    """A label of an issue."""

    name: str


class Issue(BaseModel):
    """An issue or pull request."""

    id: int
    number: int
    title: str
    state: str
    body: str | None = None
    html_url: str = ""
    user: User | None = None
    labels: list[Label] = []
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Comment(BaseModel):
    """A comment on an issue."""

    id: int
    body: str
    html_url: str = ""
    user: User | None = None


class App(BaseModel):
    """A GitHub App."""

    id: int
    slug: str
    name: str
    description: str | None = None
    html_url: str = ""


class Release(BaseModel):
    """A release of a repository."""

    id: int
    tag_name: str
    name: str | None = None
    draft: bool = False
    prerelease: bool = False
    html_url: str = ""
    published_at: datetime | None = None


class Organization(BaseModel, json_schema_extra={"examples": [{"org": "acme"}]}):
    """Which organization."""

    org: str


class AppSlug(BaseModel, json_schema_extra={"examples": [{"appSlug": "release-bot"}]}):
    """Which app, by its name in URLs."""

    appSlug: str  # noqa: N815 - the name that topologies know


class RepositoryRef(BaseModel, json_schema_extra={"examples": [{"org": "acme", "repo": "shop"}]}):
    """Which repository."""

    org: str
    repo: str


class IssueRef(RepositoryRef, json_schema_extra={"examples": [{"org": "acme", "repo": "shop", "number": 7}]}):
    """Which issue."""

    number: int


class IssueQuery(RepositoryRef, json_schema_extra={"examples": [{"org": "acme", "repo": "shop", "state": "all"}]}):
    """Which issues of a repository."""

    state: str | None = None
    """`open`, `closed` or `all`; open without."""
    labels: str | None = None
    """Names, separated by commas."""
    since: datetime | None = None
    """Only those updated since."""


class NewIssue(
    RepositoryRef, json_schema_extra={"examples": [{"org": "acme", "repo": "shop", "title": "It does not start"}]}
):
    """An issue to open."""

    title: str
    body: str | None = None
    labels: list[str] | None = None
    assignees: list[str] | None = None


class IssueChange(
    IssueRef, json_schema_extra={"examples": [{"org": "acme", "repo": "shop", "number": 7, "state": "closed"}]}
):
    """What to change of an issue; what is not named stays."""

    title: str | None = None
    body: str | None = None
    state: str | None = None
    labels: list[str] | None = None


class NewComment(
    IssueRef, json_schema_extra={"examples": [{"org": "acme", "repo": "shop", "number": 7, "body": "Done."}]}
):
    """A comment to write."""

    body: str


class WorkflowRun(
    RepositoryRef,
    json_schema_extra={"examples": [{"org": "acme", "repo": "shop", "workflow": "ci.yml", "ref": "main"}]},
):
    """A workflow to run, by file name or id, on a branch or tag."""

    workflow: str
    ref: str
    inputs: dict[str, str] | None = None


github = Endpoints(GitHub, rules=Rules(checks=[repeat_when(is_rate_limited, "rate limit", codes="403 429")]))
pages = LinkHeader(size_param="per_page")

get_app = github.get("git-hub-get-app-connector", "/apps/{appSlug}", AppSlug, App)
get_repository = github.get("github-get-repository-connector", "/repos/{org}/{repo}", RepositoryRef, Repository)
get_issue = github.get("github-get-issue", "/repos/{org}/{repo}/issues/{number}", IssueRef, Issue)
create_issue = github.post("github-create-issue", "/repos/{org}/{repo}/issues", NewIssue, Issue)
update_issue = github.patch("github-update-issue", "/repos/{org}/{repo}/issues/{number}", IssueChange, Issue)
create_comment = github.post(
    "github-create-comment", "/repos/{org}/{repo}/issues/{number}/comments", NewComment, Comment
)
run_workflow = github.post(
    "github-run-workflow", "/repos/{org}/{repo}/actions/workflows/{workflow}/dispatches", WorkflowRun, Any
)
list_repositories = github.list(
    "git-hub-repositories-batch", "/orgs/{org}/repos", Organization, Repository, pages=pages
)
list_issues = github.list(
    "github-list-issues",
    "/repos/{org}/{repo}/issues",
    IssueQuery,
    Issue,
    pages=pages,
    query=["state", "labels", "since"],
)
list_releases = github.list("github-list-releases", "/repos/{org}/{repo}/releases", RepositoryRef, Release, pages=pages)
