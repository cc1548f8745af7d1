from hypothesis import settings

# A busy machine is no failure: what an expression may cost is capped by its size, not by a clock.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
