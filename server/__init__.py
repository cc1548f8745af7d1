"""The service: a thin HTTP layer (`api`) over the engine that runs turns (`runs`)."""
