"""Long-term memory: what an agent knows of a user in every thread, kept in LangGraph's store.

settings.py  what is remembered, and how much of it
whose.py     of which user, and so in which namespace
memory.py    one memory
alike.py     whether two texts say the same
memories.py  those of one user: kept, found, changed and forgotten
current.py   those of the user for whom a tool or a node is running
"""

from everturn.tools.providers.memories.memories import (
    InvalidMemory,
    Kept,
    Memories,
    MemoryNotFound,
    TooManyMemories,
)
from everturn.tools.providers.memories.memory import KINDS, Kind, Memory
from everturn.tools.providers.memories.settings import MemorySettings
from everturn.tools.providers.memories.whose import ROOT, is_of, label_of, namespace_of

__all__ = [
    "KINDS",
    "ROOT",
    "InvalidMemory",
    "Kept",
    "Kind",
    "Memories",
    "Memory",
    "MemoryNotFound",
    "MemorySettings",
    "TooManyMemories",
    "is_of",
    "label_of",
    "namespace_of",
]
