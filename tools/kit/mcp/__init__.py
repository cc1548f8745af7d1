"""Servers of the Model Context Protocol as sources of tools: modelcontextprotocol.io."""

from everturn.tools.kit.mcp.settings import McpSettings
from everturn.tools.kit.mcp.sources import McpNotInstalled, open_mcp

__all__ = ["McpNotInstalled", "McpSettings", "open_mcp"]
