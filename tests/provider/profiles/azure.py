"""Azure OpenAI, /openai/v1: https://learn.microsoft.com/azure/ai-foundry/openai/reference.

The model and its rules are OpenAI's; content filters speak in between, in chunks that say nothing.
"""

from __future__ import annotations

from typing import Any

from tests.provider.offer import Offer
from tests.provider.profile import Body
from tests.provider.profiles.openai import OpenAI
from tests.provider.script import Reply, Request

SAFE = {"hate": {"filtered": False, "severity": "safe"}}


class Azure(OpenAI):
    """A chunk without choices at the start, and one without a delta before the end."""

    name = "azure"

    def opening(self, request: Request) -> list[Body]:
        # https://github.com/sigoden/aichat/issues/651
        results = [{"prompt_index": 0, "content_filter_results": SAFE}]
        return [self._empty(choices=[], prompt_filter_results=results), *super().opening(request)]

    def closing(self, request: Request, reply: Reply, offer: Offer) -> list[Body]:
        # https://github.com/microsoft/autogen/issues/6465
        offsets = {"check_offset": 0, "start_offset": 0, "end_offset": len(reply.text)}
        choice = {
            "index": 0,
            "finish_reason": None,
            "content_filter_offsets": offsets,
            "content_filter_results": SAFE,
        }
        return [self._empty(choices=[choice]), *super().closing(request, reply, offer)]

    def _empty(self, **more: Any) -> Body:
        return {"id": "", "object": "", "created": 0, "model": "", **more}


PROFILE = Azure()
