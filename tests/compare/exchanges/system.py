"""What is asked of the service itself."""

from tests.compare.exchanges.server import Server


def system(server: Server) -> None:
    server.ask("root", "GET", "/")
    server.ask("ok", "GET", "/ok")
    server.ask("ok with check_db", "GET", "/ok?check_db=1")
    server.ask("no route", "GET", "/nothing")
    server.ask("no method", "PUT", "/threads")
    info = server.client.get("/info").json()
    server.answers["info"] = sorted({"version", "flags", "host", "metadata"} & info.keys())
