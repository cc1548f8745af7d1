"""The table of failures, row by row: what is done next."""

from collections.abc import Sequence
from typing import Any

import pytest

from everturn.graph.models.catalogue import Model
from everturn.graph.models.circuits import FREE, KEY, PAID, Circuit, State, media_of, tools_of
from everturn.graph.state import Attempt
from everturn.graph.steps.policy import (
    Ask,
    GiveUp,
    Situation,
    Step,
    Stop,
    has_successor,
    next_step,
    rivals_of,
)

A, B, C = Model("a", context=8_000), Model("b", context=4_000), Model("c", context=128_000)
GIFT = Model("gift:free")


def _tried(*attempts: str) -> list[Attempt]:
    """`a:timeout` is model a that failed with a timeout."""
    pairs = (attempt.split(":") for attempt in attempts)
    return [Attempt(model=model, failure=failure, message="") for model, failure in pairs]


def _open(*subjects: str, state: State = "open", seconds: float = 30) -> dict[str, Circuit]:
    return {subject: Circuit(subject, state, seconds) for subject in subjects}


def _next(*attempts: str, models: Sequence[Model] = (A, B, C), **more: Any) -> Step:
    return next_step(Situation(candidates=models, tried=_tried(*attempts), **more))


PASSING = [
    *("unavailable", "unreachable", "timeout", "stalled"),
    *("cut", "malformed", "rate_limited", "outrun"),
]
EVERY_OTHER = [
    *("payment_required", "account_limited", "not_found", "no_tool_support", "bad_request"),
    *("moderated", "broken_tool_call", "empty", "filtered", "wrong_tool_call", "tool_loop"),
    *("unoffered_tool", "internal"),
]


def test_the_first_choice_is_asked_first() -> None:
    assert _next() == Ask(A)


@pytest.mark.parametrize("failure", [*PASSING, *EVERY_OTHER])
def test_after_one_failure_the_next_is_asked_at_once(failure: str) -> None:
    assert _next(f"a:{failure}") == Ask(B)


@pytest.mark.parametrize("failure", [*PASSING, *EVERY_OTHER])
def test_without_fallback_nobody_is_asked_after_a_failure(failure: str) -> None:
    end = Stop("moderated") if failure == "moderated" else GiveUp()
    assert _next(f"a:{failure}", fallback=False) == end


def test_an_answer_that_fits_no_schema_is_corrected_once_then_the_next_is_asked() -> None:
    wrong = "schema_mismatch"
    assert _next(f"a:{wrong}") == Ask(A, correct=True)
    assert _next(f"a:{wrong}", fallback=False) == Ask(A, correct=True)
    assert _next(f"a:{wrong}", time_left=0) == GiveUp("out_of_time")
    assert _next(f"a:{wrong}", f"a:{wrong}") == Ask(B)
    assert _next(f"a:{wrong}", f"a:{wrong}", fallback=False) == GiveUp()
    assert _next(f"a:{wrong}", "a:timeout") == Ask(B)
    assert _next(*[f"{model}:{wrong}" for model in "aabbcc"]) == GiveUp()
    offline = Model("offline")
    assert _next(f"offline:{wrong}", models=[offline, B]) == Ask(B)


def test_a_refused_key_stops_all() -> None:
    assert _next("a:invalid_api_key") == Stop("invalid_api_key")
    assert _next(circuits=_open(KEY)) == Stop("invalid_api_key")


@pytest.mark.parametrize("failure", PASSING)
def test_what_may_have_passed_is_asked_again_after_a_moment(failure: str) -> None:
    tried = [f"{model}:{failure}" for model in "abc"]
    step = _next(*tried)
    assert isinstance(step, Ask)
    assert step.model == A
    assert 0 < step.wait <= 0.2
    later = _next(*tried, *tried, chance=1.0)
    assert isinstance(later, Ask)
    assert later.wait > step.wait


@pytest.mark.parametrize("failure", EVERY_OTHER)
def test_what_will_not_pass_is_not_asked_again(failure: str) -> None:
    step = _next("a:timeout", "b:timeout", f"c:{failure}")
    assert isinstance(step, Ask)
    assert step.model == A
    assert not isinstance(_next(f"a:{failure}", models=[A]), Ask)


def test_asking_again_has_an_end() -> None:
    tried: list[str] = []
    while isinstance(step := _next(*tried), Ask):
        tried.append(f"{step.model.name}:unavailable")
    assert step == GiveUp()
    assert [tried.count(f"{model}:unavailable") for model in "abc"] == [4, 4, 4]


@pytest.mark.parametrize("failure", ["bad_request", "moderated"])
def test_two_models_agree_that_the_request_is_wrong(failure: str) -> None:
    assert _next(f"a:{failure}", f"b:{failure}") == Stop(failure)  # type: ignore[arg-type]  # as said above
    assert _next(f"a:{failure}", "b:timeout") == Ask(C)


def test_moderation_is_believed_where_nobody_else_can_be_asked() -> None:
    assert _next("a:moderated", models=[A]) == Stop("moderated")
    assert _next("a:moderated", circuits=_open("b", "c")) == Stop("moderated")
    assert _next("a:moderated", models=[A, B]) == Ask(B)


@pytest.mark.parametrize("failure", ["empty", "filtered", "broken_tool_call"])
def test_two_models_that_cannot_are_enough(failure: str) -> None:
    assert _next(f"a:{failure}", f"b:{failure}") == GiveUp()


def test_a_context_too_long_goes_to_a_larger_one_then_is_trimmed_once() -> None:
    assert _next("a:context_too_long") == Ask(C)
    assert _next("a:context_too_long", "c:context_too_long") == Ask(C, trim=True)
    assert _next("c:context_too_long") == Ask(C, trim=True)
    assert _next("c:context_too_long", trimmed=True) == Stop("context_too_long")


def test_without_credits_only_free_models_are_asked() -> None:
    models = [A, GIFT]
    assert _next("a:payment_required", models=models, circuits=_open(PAID)) == Ask(GIFT)
    assert isinstance(_next("a:payment_required", circuits=_open(PAID)), GiveUp)


def test_a_limit_on_all_free_models_leaves_the_paid_ones() -> None:
    models = [GIFT, Model("other:free"), A]
    tried = [Attempt(model="gift:free", failure="account_limited", message="")]
    now = Situation(candidates=models, tried=tried, circuits=_open(FREE))
    assert next_step(now) == Ask(A)


def test_a_model_without_tools_is_asked_when_none_are_needed() -> None:
    circuits = _open(tools_of("a"))
    assert _next(circuits=circuits, tools=True) == Ask(B)
    assert _next(circuits=circuits, tools=False) == Ask(A)


def test_an_open_circuit_is_passed_over() -> None:
    assert _next(circuits=_open("a")) == Ask(B)
    assert _next(circuits=_open("a", "b", "c")) == GiveUp(expected_back=30)


def test_a_half_open_circuit_is_claimed_first() -> None:
    assert _next(circuits=_open("a", state="half_open", seconds=0)) == Ask(A, probe="a")


def test_those_in_doubt_are_asked_last_but_before_anybody_is_asked_again() -> None:
    doubt = _open("a", state="doubtful")
    assert _next(circuits=doubt) == Ask(B)
    assert _next("b:timeout", "c:timeout", circuits=doubt) == Ask(A)


def test_a_limit_that_ends_in_a_moment_is_waited_for_when_nobody_is_left() -> None:
    limits = {**_open("a", seconds=1.5), **_open("b", "c", seconds=30)}
    assert _next("a:rate_limited", circuits=limits) == Ask(A, wait=1.5, probe="a")
    assert _next("a:rate_limited", circuits=_open("a", seconds=1.5)) == Ask(B)
    assert _next("a:rate_limited", circuits=limits, time_left=1.0) == GiveUp(expected_back=1.5)
    limits["a"] = Circuit("a", "open", 2.5)
    assert _next("a:rate_limited", circuits=limits) == GiveUp(expected_back=2.5)


def test_out_of_time_nobody_is_asked() -> None:
    assert _next("a:timeout", time_left=0) == GiveUp("out_of_time")


def test_wishes_that_fit_nobody() -> None:
    assert _next(models=[]) == GiveUp("no_candidate")


def test_rivals_are_paid_untried_and_well() -> None:
    now = Situation(candidates=[A, GIFT, B, C], tried=_tried("b:timeout"))
    assert rivals_of(A, now) == [C]
    assert rivals_of(A, Situation(candidates=[A, GIFT, B, C])) == [B, C]
    assert rivals_of(GIFT, now) == []
    assert rivals_of(A, Situation(candidates=[A, GIFT])) == []
    assert rivals_of(A, Situation(candidates=[A, B], circuits=_open("b", state="doubtful"))) == []


def test_the_last_who_could_answer_has_no_successor() -> None:
    assert not has_successor(A, Situation(candidates=[A]))
    assert not has_successor(A, Situation(candidates=[A, B], fallback=False))
    assert not has_successor(A, Situation(candidates=[A, B], circuits=_open("b")))
    assert has_successor(A, Situation(candidates=[A, B]))
    # B has failed, but may be well again at once; one that was silent will not be.
    assert has_successor(A, Situation(candidates=[A, B], tried=_tried("b:unavailable")))
    assert not has_successor(A, Situation(candidates=[A, B], tried=_tried("b:timeout")))
    assert not has_successor(A, Situation(candidates=[A, B], tried=_tried("b:unreachable")))
    assert not has_successor(A, Situation(candidates=[A, B], tried=_tried("b:empty")))


# Pictures

PICTURES: dict[str, Any] = {"media": {"image"}}


def test_a_model_that_takes_no_pictures_is_followed_by_the_next() -> None:
    blind = _open(media_of("a", "image"))
    assert _next("a:no_image_support", circuits=blind, **PICTURES) == Ask(B)
    assert _next(circuits=blind, **PICTURES) == Ask(B)
    assert _next(circuits=blind) == Ask(A)  # the turn shows none
    assert _next(circuits=_open(media_of("a", "audio")), **PICTURES) == Ask(A)


def test_where_no_model_takes_pictures_the_run_stops() -> None:
    blind = _open(*(media_of(name, "image") for name in "abc"))
    assert _next("c:no_image_support", circuits=blind, **PICTURES) == Stop("no_image_support")
    assert _next(circuits=blind, **PICTURES) == Stop("no_image_support")
    assert _next(circuits=blind, fallback=False, models=[A], **PICTURES) == Stop("no_image_support")
    # Who is only out of reach may take them another time.
    assert isinstance(_next("a:unavailable", models=[A], **PICTURES), Ask)
    assert _next(circuits=blind, models=[A, Model("offline")], **PICTURES) == Ask(Model("offline"))


@pytest.mark.parametrize("failure", ["bad_request", "unreadable_media", "no_image_support"])
def test_a_refused_request_is_made_once_more_without_older_pictures(failure: str) -> None:
    lighter = Ask(A, without_older_media=True)
    assert _next(f"a:{failure}", older_media=True) == lighter
    assert _next(f"a:{failure}", older_media=True, fallback=False) == lighter
    assert _next(f"a:{failure}", f"a:{failure}", older_media=True) == Ask(B)
    assert _next(f"a:{failure}") == Ask(B)  # there are none
    assert _next(f"a:{failure}", older_media=True, time_left=0) == GiveUp("out_of_time")
    second = _next(f"a:{failure}", f"a:{failure}", f"b:{failure}", older_media=True)
    assert second == Ask(B, without_older_media=True)


def test_older_pictures_are_no_reason_where_the_turn_itself_shows_some() -> None:
    blind = _open(media_of("a", "image"))
    step = _next("a:no_image_support", older_media=True, circuits=blind, **PICTURES)
    assert step == Ask(B)


def test_a_picture_that_two_providers_cannot_read_is_refused() -> None:
    assert _next("a:unreadable_media", **PICTURES) == Ask(B)
    tried = ("a:unreadable_media", "b:unreadable_media")
    assert _next(*tried, **PICTURES) == Stop("unreadable_media")
    assert _next("a:unreadable_media", models=[A], **PICTURES) == Stop("unreadable_media")


def test_what_the_catalogue_says_meanwhile_counts_too() -> None:
    blind = Model("a", lacks=frozenset({"image"}))
    assert _next(models=[blind], **PICTURES) == Stop("no_image_support")
    assert _next(models=[blind]) == Ask(blind)
