"""The offline model: answers by rule when there is no key, or when no provider is left.

`model` is LangChain's side of it, `turn` decides what to do, `intents` (with `arithmetic`,
`weather` and `queries`) reads what a text asks for, `calls` and `arguments` turn that into tool
calls by the tools' own schemas, `memory` and `facts` recall the conversation, `replies` puts
results into the words of `wording`.
"""

from everturn.graph.offline.model import OfflineModel

__all__ = ["OfflineModel"]
