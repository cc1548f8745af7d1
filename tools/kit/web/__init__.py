"""How tools reach the world: one pooled client, guarded where a model chooses the address.

`Web` asks the services that settings name and reads the pages that a caller names; `current` finds
the one to use. `addresses` says where pages may come from, `connections` enforces it, `breaker`
spares services that do not answer.
"""

from everturn.tools.kit.web.client import Web, open_web
from everturn.tools.kit.web.current import current_web
from everturn.tools.kit.web.errors import BadAnswer, Refused, Unreachable, WebError

__all__ = ["BadAnswer", "Refused", "Unreachable", "Web", "WebError", "current_web", "open_web"]
