"""The command `everturn`, whose commands are imported only when they are called."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from everturn.server.environment import WrongSetting


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "serve":
                from everturn.server.cli.serve import serve

                return serve(_settings_from(options))
            case "config" | "doctor":
                from everturn.server.cli import config, doctor

                look = config.show if options.command == "config" else doctor.doctor
                return look(_settings_from(options))
            case "check-model":
                from everturn.server.cli.check_model import check_model

                return check_model(options.names, as_json=options.json)
            case _:
                from everturn.server.address import running_url
                from everturn.server.cli.chat import chat

                return chat(
                    options.url or running_url(options.data_dir),
                    " ".join(options.message) if options.message else None,
                    session_id=options.session,
                    agent=options.agent,
                    plain=options.plain,
                )
    except WrongSetting as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="everturn", description="A self-hosted LLM agent service."
    )
    parser.add_argument("--version", action="version", version=f"everturn {version('everturn')}")
    commands = parser.add_subparsers(dest="command", required=True)

    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("--host", help="address to listen on (EVERTURN_HOST)")
    settings.add_argument("--port", help="port to listen on; 0 picks one (EVERTURN_PORT)")
    settings.add_argument("--config", help="path of langgraph.json (EVERTURN_CONFIG)")
    settings.add_argument("--data-dir", help="folder of memory and history (EVERTURN_DATA_DIR)")
    commands.add_parser("serve", parents=[settings], help="start the service")
    commands.add_parser("config", parents=[settings], help="show every setting and its source")
    commands.add_parser(
        "doctor", parents=[settings], help="say what becomes of a project, without running it"
    )

    check = commands.add_parser("check-model", help="try the provider's key, address and models")
    check.add_argument("names", nargs="*", metavar="NAME", help="a model (all of EVERTURN_MODELS)")
    check.add_argument("--json", action="store_true", help="print the result as JSON")

    chat = commands.add_parser("chat", help="talk to the running service, or ask it once")
    chat.add_argument(
        "message", nargs="*", help="ask this once and end; - reads it from stdin (a conversation)"
    )
    chat.add_argument("--url", help="where the service is (found by its data folder)")
    chat.add_argument("--data-dir", help="the service's data folder (EVERTURN_DATA_DIR)")
    chat.add_argument("--session", help="go on with this session")
    chat.add_argument("--agent", help="the graph that answers (`agent`, or the only one)")
    chat.add_argument("--plain", action="store_true", help="no colours, no Markdown")
    return parser


def _settings_from(options: argparse.Namespace) -> dict[str, str]:
    """The settings named on the command line, as they would stand in the environment."""
    named = ("host", "port", "config", "data_dir")
    return {name: value for name in named if (value := getattr(options, name)) is not None}


if __name__ == "__main__":
    sys.exit(main())
