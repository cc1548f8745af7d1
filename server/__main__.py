"""The command `everturn`, whose commands are imported only when they are called."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from everturn import __version__
from everturn.server.environment import WrongSetting


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        if sys.stdout is not None:  # of a process without standard output
            sys.stdout.flush()
    except WrongSetting as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read the output, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 141  # as a shell says it: 128 and SIGPIPE
    return code


def _start(options: argparse.Namespace) -> int:
    """Start the service; in a container under a process that does no more than that."""
    from everturn.server.cli import first_process

    if first_process.is_first() and (ended := first_process.start_service()) is not None:
        return ended
    for sign in (signal.SIGINT, signal.SIGTERM):  # until there is something to end in order
        signal.signal(sign, lambda *_: sys.exit(0))
    from everturn.server.cli import workers

    start = workers.serve if options.command == "serve" else workers.work
    return start(_settings_from(options))


def _config(options: argparse.Namespace) -> int:
    from everturn.server.cli.config import show

    return show(_settings_from(options))


def _doctor(options: argparse.Namespace) -> int:
    from everturn.server.cli.doctor import doctor

    return doctor(_settings_from(options), repair=options.repair)


def _backup(options: argparse.Namespace) -> int:
    from everturn.server.cli.backup import backup

    return backup(_settings_from(options), options.file)


def _reindex(options: argparse.Namespace) -> int:
    from everturn.server.cli.memory import reindex

    return reindex(_settings_from(options))


def _gc(options: argparse.Namespace) -> int:
    from everturn.server.cli.gc import gc

    return gc(_settings_from(options))


def _migrate(options: argparse.Namespace) -> int:
    # The first process of a container is sent no signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from everturn.server.cli.migrate import migrate

    return migrate(_settings_from(options), options.wait)


def _restore(options: argparse.Namespace) -> int:
    from everturn.server.cli.backup import restore

    return restore(_settings_from(options), options.file)


def _export(options: argparse.Namespace) -> int:
    from everturn.server.cli.users import export_session, export_user

    named = _settings_from(options)
    if options.user is not None:
        return export_user(named, options.user, options.output)
    return export_session(named, options.session, options.output, markdown=options.markdown)


def _forget(options: argparse.Namespace) -> int:
    from everturn.server.cli.users import forget_user

    return forget_user(_settings_from(options), options.user)


def _keys(options: argparse.Namespace) -> int:
    from everturn.server.cli import keys

    named = _settings_from(options)
    match options.action:
        case "create":
            return keys.create(
                named,
                options.name,
                owner=options.owner,
                scopes=options.scope or ["runs"],
                expires=options.expires,
                amounts={name: getattr(options, name) for name in keys.AMOUNTS},
                as_json=options.json,
            )
        case "list":
            return keys.show(named, as_json=options.json)
        case _:
            return keys.revoke(named, options.key)


def _check_model(options: argparse.Namespace) -> int:
    from everturn.server.cli.check_model import check_model

    return check_model(options.names, as_json=options.json)


def _chat(options: argparse.Namespace) -> int:
    from everturn.server.address import running_url
    from everturn.server.cli.chat import chat
    from everturn.server.environment import quick_setting

    return chat(
        options.url or running_url(options.data_dir),
        " ".join(options.message) if options.message else None,
        key=quick_setting("EVERTURN_API_KEY"),
        session_id=options.session,
        agent=options.agent,
        plain=options.plain,
    )


def _ready(options: argparse.Namespace) -> int:
    from everturn.server.address import running_url
    from everturn.server.cli.probe import probe

    return probe(options.url or running_url(options.data_dir))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="everturn", description="A self-hosted LLM agent service."
    )
    parser.add_argument("--version", action="version", version=f"everturn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    stores = argparse.ArgumentParser(add_help=False)
    stores.add_argument("--data-dir", help="folder of memory and history (EVERTURN_DATA_DIR)")
    settings = argparse.ArgumentParser(add_help=False, parents=[stores])
    settings.add_argument("--host", help="address to listen on (EVERTURN_HOST)")
    settings.add_argument("--port", help="port to listen on; 0 picks one (EVERTURN_PORT)")
    settings.add_argument("--config", help="path of langgraph.json (EVERTURN_CONFIG)")
    serving = commands.add_parser("serve", parents=[settings], help="start the service")
    serving.add_argument(
        "--workers", help="processes that serve, or auto: one a processor (EVERTURN_WORKERS)"
    )
    serving.set_defaults(run=_start)
    for name, run, does in (
        ("worker", _start, "run what waits in the background, and serve nothing"),
        ("config", _config, "show every setting and its source"),
    ):
        command = commands.add_parser(name, parents=[settings], help=does)
        command.set_defaults(run=run)

    _add_ready(commands.add_parser("ready", parents=[stores], help=_READY))
    doctor = commands.add_parser(
        "doctor",
        parents=[settings],
        help="say what becomes of a project, without running it, and how the stores are",
    )
    doctor.add_argument(
        "--repair", action="store_true", help="put right in the stores what is safe to put right"
    )
    doctor.set_defaults(run=_doctor)

    for name, run, does in (
        ("backup", _backup, "write all that is kept into a file, while the service runs"),
        ("restore", _restore, "put a backup into empty stores, before the service starts"),
    ):
        copy = commands.add_parser(name, parents=[stores], help=does)
        copy.add_argument("file", metavar="FILE", help="of the backup")
        copy.set_defaults(run=run)

    gc = commands.add_parser(
        "gc", parents=[stores], help="delete what is kept no longer, and give back its room"
    )
    gc.set_defaults(run=_gc)

    _add_migrate(commands.add_parser("migrate", parents=[stores], help=_MIGRATE))

    memory = commands.add_parser("memory", help="look after what is remembered of users")
    deeds = memory.add_subparsers(metavar="COMMAND", required=True)
    reindex = deeds.add_parser(
        "reindex",
        parents=[settings],
        help="make anew what it is found by, where another model made it",
    )
    reindex.set_defaults(run=_reindex)

    export = commands.add_parser(
        "export", parents=[settings], help="write down a session, or all that is kept of a user"
    )
    whose = export.add_mutually_exclusive_group(required=True)
    whose.add_argument("--session", metavar="ID", help="its finished turns")
    whose.add_argument("--user", metavar="NAME", help="all, one JSON object a line")
    export.add_argument("--markdown", action="store_true", help="a session to read; else JSON")
    export.add_argument("--output", "-o", metavar="FILE", help="a new file (standard output)")
    export.set_defaults(run=_export)
    forget = commands.add_parser(
        "forget", parents=[settings], help="delete all that is kept of a user"
    )
    forget.add_argument("--user", metavar="NAME", required=True)
    forget.set_defaults(run=_forget)

    _add_keys(commands.add_parser("keys", help="make, list and revoke the keys of clients"), stores)

    check = commands.add_parser("check-model", help="try the provider's key, address and models")
    check.add_argument("names", nargs="*", metavar="NAME", help="a model (all of EVERTURN_MODELS)")
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    check.set_defaults(run=_check_model)

    _add_chat(commands.add_parser("chat", help="talk to the running service, or ask it once"))
    return parser


_MIGRATE = "bring the database to the tables of this version, as each start does"


def _add_migrate(migrate: argparse.ArgumentParser) -> None:
    """Add how long a database is waited for."""
    text = "so long for a database that does not answer (0)"
    migrate.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help=text)
    migrate.set_defaults(run=_migrate)


_READY = "ask the running service whether it is ready (exit code)"


def _add_ready(ready: argparse.ArgumentParser) -> None:
    """Add where the service is."""
    ready.add_argument("--url", help="where the service is (found by its data folder)")
    ready.set_defaults(run=_ready)


def _add_chat(chat: argparse.ArgumentParser) -> None:
    """Add what is said, to whom, and how the answer looks."""
    chat.add_argument(
        "message", nargs="*", help="ask this once and end; - reads it from stdin (a conversation)"
    )
    chat.add_argument("--url", help="where the service is (found by its data folder)")
    chat.add_argument("--data-dir", help="the service's data folder (EVERTURN_DATA_DIR)")
    chat.add_argument("--session", help="go on with this session")
    chat.add_argument("--agent", help="the graph that answers (`agent`, or the only one)")
    chat.add_argument("--plain", action="store_true", help="no colours, no Markdown")
    chat.set_defaults(run=_chat)


def _add_keys(keys: argparse.ArgumentParser, stores: argparse.ArgumentParser) -> None:
    """Add what can be done with keys."""
    keys.set_defaults(run=_keys)
    actions = keys.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", parents=[stores], help="make a key, and print it once")
    create.add_argument("name", metavar="NAME", help="of the key: who or what has it")
    create.add_argument("--owner", help="whose threads it sees (NAME)")
    create.add_argument(
        "--scope",
        action="append",
        choices=("runs", "admin", "metrics"),
        help="runs: a user (default); admin: everybody's data; metrics: /metrics alone",
    )
    create.add_argument("--expires", metavar="90d", help="after days (d), hours (h), minutes (m)")
    own = create.add_argument_group("limits of its own", "in place of those set for all callers")
    for option, kind, shown, text in (
        ("--rate-limit", str, "60/minute", "turns; several with ;, or off"),
        ("--request-limit", str, "600/minute", "other requests; several with ;, or off"),
        ("--max-runs", int, "N", "runs under way at once"),
        ("--max-tool-calls", int, "N", "calls of tools in one turn"),
        ("--budget-day", float, "USD", "US dollars a day (UTC)"),
        ("--tokens-day", int, "N", "tokens a day (UTC), read and written"),
        ("--turn-timeout", float, "SECONDS", "of one turn; at most EVERTURN_TURN_TIMEOUT"),
        ("--max-body-size", int, "BYTES", "of one request; at most EVERTURN_MAX_BODY_SIZE"),
    ):
        own.add_argument(option, type=kind, metavar=shown, help=text)
    listing = actions.add_parser("list", parents=[stores], help="all keys, without their secrets")
    for command in (create, listing):
        command.add_argument("--json", action="store_true", help="print the result as JSON")
    revoke = actions.add_parser("revoke", parents=[stores], help="let a key work no more")
    revoke.add_argument("key", metavar="ID", help="of the key, or its name")


def _settings_from(options: argparse.Namespace) -> dict[str, str]:
    """The settings named on the command line, as they would stand in the environment."""
    named = ("host", "port", "config", "data_dir", "workers")
    return {name: value for name in named if (value := getattr(options, name, None)) is not None}


if __name__ == "__main__":
    sys.exit(main())
