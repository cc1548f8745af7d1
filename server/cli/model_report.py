"""What `everturn check-model` prints: a table and a line for each thing to know, or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from everturn.graph.models.check import ModelCheck, Trial
from everturn.graph.models.diagnosis import Listing, shown_url, words_of
from everturn.graph.models.settings import ModelSettings
from everturn.server.cli.config import Origin

_HEAD = ("model", "text", "stream", "tool call", "usage")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out about one configuration."""

    settings: ModelSettings
    origins: Mapping[str, Origin]
    checks: Sequence[ModelCheck]
    listing: Listing

    @property
    def ok(self) -> bool:
        """Whether every model answers."""
        return all(check.answers for check in self.checks)

    def problem_of(self, check: ModelCheck) -> str | None:
        """Return what is wrong, in a line that begins with the setting as the user wrote it."""
        problem = check.problem
        if problem is None:
            return None
        if problem.setting is None:
            return f"{check.name}: {problem.text}."
        origin = self.origins[problem.setting]
        source = "not set" if origin.source == "default" else origin.source
        return f"{origin.name} ({source}): {problem.text}."


def as_text(report: Report) -> str:
    """Return the report for people to read."""
    rows = [_HEAD, *(_row(check) for check in report.checks)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([_about_provider(report), "", *table, *_remarks(report)])


def _about_provider(report: Report) -> str:
    url, listing = shown_url(report.settings), report.listing
    if listing.failure:
        return f"{url} does not list its models."
    return f"{url} lists {len(listing.names)} model{'' if len(listing.names) == 1 else 's'}."


def _row(check: ModelCheck) -> tuple[str, ...]:
    called = "none made" if check.tools and not check.called else None
    usage = "{} + {} tokens".format(*check.usage) if check.usage else "none"
    return (
        check.name,
        _cell(check.text),
        _cell(check.stream),
        _cell(check.tools, called),
        usage if check.answers else "-",
    )


def _cell(trial: Trial | None, instead: str | None = None) -> str:
    if trial is None:
        return "-"
    if trial.failure:
        return f"failed {trial.seconds:.2f} s"
    first = "" if trial.first_token is None else f" (first {trial.first_token:.2f} s)"
    return instead or f"{trial.seconds:.2f} s{first}"


def _remarks(report: Report) -> list[str]:
    """Say once each what is wrong, and what a user would want to know of models that answer."""
    problems = dict.fromkeys(report.problem_of(check) for check in report.checks)
    notes = [note for check in report.checks for note in _notes(check, report)]
    remarks = [each for each in (*problems, *notes) if each]
    return ["", *remarks] if remarks else []


def _notes(check: ModelCheck, report: Report) -> list[str]:
    notes, listing = [], report.listing
    if check.tools and check.tools.failure:
        reason = words_of(check.tools.failure, report.settings)
        notes.append(f"it takes no tools ({reason}), so agents ask it only where they need none")
    elif check.tools and not check.called:
        notes.append("it made no tool call when asked to: agents with tools need another model")
    if check.answers and check.pieces == 1:
        notes.append("its stream came in one piece: it, or a proxy before it, does not stream")
    if check.refused:
        notes.append(f"it refused {', '.join(check.refused)}, which the service leaves out")
    if check.answers and not listing.failure and check.name not in listing.names:
        notes.append("the provider does not list this name, and answered all the same")
    return [f"{check.name}: {note}." for note in notes]


def as_json(report: Report) -> dict[str, Any]:
    """Return the report fit for JSON."""
    listing = report.listing
    return {
        "ok": report.ok,
        "provider": shown_url(report.settings),
        "listed": None if listing.failure else len(listing.names),
        "models": [_model_as_json(check, report) for check in report.checks],
    }


def _model_as_json(check: ModelCheck, report: Report) -> dict[str, Any]:
    return {
        "name": check.name,
        "answers": check.answers,
        "text": _trial_as_json(check.text, report),
        "stream": _trial_as_json(check.stream, report, pieces=check.pieces),
        "tool_call": _trial_as_json(check.tools, report, called=check.called),
        "usage": dict(zip(("input_tokens", "output_tokens"), check.usage or (), strict=False))
        or None,
        "problem": report.problem_of(check),
        "notes": _notes(check, report),
    }


def _trial_as_json(trial: Trial | None, report: Report, **more: Any) -> dict[str, Any] | None:
    if trial is None:
        return None
    failure = trial.failure
    return {
        "ok": failure is None,
        "seconds": round(trial.seconds, 3),
        "first_token": None if trial.first_token is None else round(trial.first_token, 3),
        "failure": failure.kind if failure else None,
        "message": words_of(failure, report.settings) if failure else None,
        **more,
    }
