"""`everturn check-model`: are the key, the address and the names right, and what can models do?"""

import asyncio
import json
import sys
from collections.abc import Sequence

from everturn.graph.models.check import ModelCheck, check_models
from everturn.graph.models.diagnosis import Listing
from everturn.graph.models.provider import open_models
from everturn.graph.models.settings import ModelSettings
from everturn.graph.models.transport import WrongTransport
from everturn.server.cli.config import load
from everturn.server.cli.model_report import Report, as_text
from everturn.server.cli.model_report import as_json as json_of
from everturn.server.environment import WrongSetting

_NO_PROVIDER = (
    "No provider is configured: the offline model answers. For a real one, set OPENROUTER_API_KEY, "
    "or OPENAI_API_KEY and EVERTURN_MODELS, or EVERTURN_BASE_URL and EVERTURN_MODELS"
)


def check_model(names: Sequence[str], *, as_json: bool = False) -> int:
    """Try the models of these names, or all that are configured, and print what they can do.

    Returns:
        0 if each of them answers, else 1.
    """
    try:
        joined, origins, *_ = load({}, models_wanted=True)
        settings = joined.models
        if settings.provider_url is None:
            return _no_provider(settings, names, as_json=as_json)
        checks, listing = asyncio.run(_checked(settings, names or settings.chain))
    except (WrongSetting, WrongTransport) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    report = Report(settings, origins, checks, listing)
    print(json.dumps(json_of(report), indent=2) if as_json else as_text(report))
    return 0 if report.ok else 1


async def _checked(
    settings: ModelSettings, names: Sequence[str]
) -> tuple[list[ModelCheck], Listing]:
    async with open_models(settings) as models:
        return await check_models(models, list(dict.fromkeys(names)))


def _no_provider(settings: ModelSettings, names: Sequence[str], *, as_json: bool) -> int:
    ok = not (settings.unfinished or names)
    message = f"{settings.unfinished or _NO_PROVIDER}."
    report: dict[str, object] = {"ok": ok, "provider": None, "message": message, "models": []}
    print(json.dumps(report, indent=2) if as_json else message)
    return 0 if ok else 1
