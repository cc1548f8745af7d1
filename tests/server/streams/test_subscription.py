"""Subscriptions want what LangGraph's client takes them to want."""

from hypothesis import given
from hypothesis import strategies as st
from langgraph_sdk.stream.subscription import matches_subscription

from everturn.server.streams.subscription import CHANNELS, Subscription

METHODS = [c for c in CHANNELS if c != "input"] + ["input.requested"]
SEGMENTS = st.sampled_from(["model", "model:1", "team:2", "team", "tools:3"])
NAMESPACES = st.lists(SEGMENTS, max_size=3)
WANTED = st.sampled_from([*CHANNELS, "custom:gap", "custom:reset"])


@given(
    channels=st.lists(WANTED, max_size=4),
    prefixes=st.none() | st.lists(NAMESPACES, max_size=2),
    depth=st.none() | st.integers(0, 2),
    method=st.sampled_from(METHODS),
    namespace=NAMESPACES,
    name=st.none() | st.sampled_from(["gap", "reset"]),
)
def test_it_wants_what_the_client_says_it_wants(
    channels: list[str],
    prefixes: list[list[str]] | None,
    depth: int | None,
    method: str,
    namespace: list[str],
    name: str | None,
) -> None:
    data = {"name": name} if name and method == "custom" else {}
    event = {"method": method, "params": {"namespace": namespace, "data": data}}
    asked = {"channels": channels, "namespaces": prefixes, "depth": depth}
    if prefixes is None:
        del asked["namespaces"]
    subscription = Subscription(frozenset(channels), prefixes, depth)
    wants = subscription.wants(method, namespace, data.get("name"))
    assert wants == matches_subscription(event, asked)  # type: ignore[arg-type]
