"""`[project.urls]`: the addresses of the repository that builds the package, for a fork's names the fork."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class RepositoryUrls(MetadataHookInterface):
    """Sets the project's urls."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Write the addresses into the project's table, `metadata`."""
        metadata["urls"] = urls(os.environ)


def urls(environ: Mapping[str, str]) -> dict[str, str]:
    """Addresses by their label; none in a build outside GitHub Actions, whose default variables name the repository.

    The labels are those that PyPI knows: https://packaging.python.org/en/latest/specifications/well-known-project-urls/
    """
    if "GITHUB_REPOSITORY" not in environ:
        return {}
    repository = f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}"
    return {
        "Source": repository,
        "Documentation": f"{repository}#readme",
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    }
