"""What the service does now: counted as it happens, put together while somebody watches.

recorder   what turns and tools report      window   the last 15 minutes, step by step
counts     numbers that can be added up     picture  windows as clients read them
others     the other processes' windows     days     what all have taken on a day
watch      once a second, for all who watch  tick     one second as it is sent
"""
