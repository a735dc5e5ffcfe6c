"""GitHub: Git hosting and developer collaboration.

https://docs.github.com/rest
"""

from types import MappingProxyType

from applications.application import Application


class GitHub(Application):
    """GitHub's REST API."""

    key = "git-hub"
    base_url = "https://api.github.com"
    headers = MappingProxyType({"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"})
