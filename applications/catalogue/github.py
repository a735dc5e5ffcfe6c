"""GitHub: Git hosting and developer collaboration.

https://docs.github.com/rest
"""

from applications.application import Application


class GitHub(Application):
    """GitHub's REST API."""

    key = "git-hub"
    base_url = "https://api.github.com"
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
