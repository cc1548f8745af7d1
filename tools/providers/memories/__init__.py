"""Long-term memory: what an agent knows of a user in every thread, kept in LangGraph's store.

settings.py  what is remembered, and how much of it
whose.py     of which user, and so in which namespace
memory.py    one memory
alike.py     whether two texts say the same
memories.py  those of one user: kept, found, changed and forgotten
current.py   those of the user for whom a tool or a node is running
"""
