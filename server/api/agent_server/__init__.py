"""The routes of LangGraph's own clients and of Studio: its Agent Server API."""
