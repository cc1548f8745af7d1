"""`everturn chat` against a small HTTP server that speaks the service's routes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from everturn.server.__main__ import main
from everturn.server.cli.chat import chat
from everturn.server.cli.chat.lines import fallback_line, receipt, step_line, tool_line
from everturn.server.cli.chat.screen import split_blocks
from tests.server.cli.pseudo_terminal import Terminal
from tests.waiting import PATIENCE

# Steps of a turn that are no events:
HANG = "hang"  # comments only, until the client leaves
HOLD = "hold"  # until the test says `go`
SILENT_END = "end"  # the stream ends here

RUN = """
import sys
from everturn.server.cli.chat import chat
sys.exit(chat(sys.argv[1], session_id=None, agent="agent", plain="--plain" in sys.argv))
"""

Turn = list[tuple[str, dict[str, Any]] | str] | tuple[int, dict[str, Any]]


def said(text: str, message_id: str = "m1") -> list[tuple[str, dict[str, Any]] | str]:
    pieces = re.findall(r"\S+\s*|\s+", text)
    return [("message", {"content": piece, "message_id": message_id}) for piece in pieces]


def done(**more: Any) -> tuple[str, dict[str, Any]]:
    route = {"mode": "primary", "model": "model-a", "tried": []}
    usage = {"total_tokens": 42}
    body = {"status": "completed", "model": "model-a", "usage": usage, "cost": None, "route": route}
    return ("done", {**body, **more})


class Service(ThreadingHTTPServer):
    """Serves the turns it was given, one a message."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.turns: deque[Turn] = deque()
        self.asked: list[dict[str, Any]] = []
        self.sessions = 0
        self.history: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self.left = threading.Event()
        self.go = threading.Event()


class Handler(BaseHTTPRequestHandler):
    @property
    def service(self) -> Service:
        assert isinstance(self.server, Service)
        return self.server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/api/chat/session":
            self.service.sessions += 1
            self.answer(201, {"session_id": f"session-{self.service.sessions}"})
        else:
            self.service.asked.append(json.loads(body))
            turn = self.service.turns.popleft()
            self.answer(*turn) if isinstance(turn, tuple) else self.play(turn)

    def do_GET(self) -> None:
        if self.path == "/api/chat/sessions":
            about = {"title": "Hi", "turns": 1, "last_used_at": "2026-11-24T10:00:00Z"}
            sessions = [
                {"session_id": f"session-{n + 1}", "status": "active", **about}
                for n in range(self.service.sessions)
            ]
            sessions[0] |= {"title": None, "turns": 0, "status": "ended"}
            self.answer(200, {"sessions": sessions})
        elif self.path.startswith("/api/chat/session/"):
            self.answer(200, {"calls": self.service.waiting})
        elif self.path == "/api/chat/history/nobody":
            self.answer(404, {"detail": "There never was a session 'nobody'."})
        else:
            self.answer(200, self.service.history)

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def play(self, turn: list[tuple[str, dict[str, Any]] | str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.event("metadata", {"session_id": "session-1", "agent": "agent", "model": "model-a"})
        for step in turn:
            match step:
                case (name, data):
                    self.event(name, data)
                case "hang":
                    self.hang()
                case "hold":
                    self.service.go.wait(PATIENCE)
        self.close_connection = True

    def event(self, name: str, data: dict[str, Any]) -> None:
        self.wfile.write(f": ping\n\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def hang(self) -> None:
        try:
            while True:
                self.wfile.write(b": ping\n\n")
                time.sleep(0.02)
        except OSError:
            self.service.left.set()

    def log_message(self, *args: Any, **kwargs: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, args=[0.01]).start()
        yield service
        service.shutdown()


class Pipe:
    """Runs the chat with its input and output in pipes."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
    ) -> None:
        self._monkeypatch, self._capsys, self._url = monkeypatch, capsys, url

    def __call__(
        self,
        *lines: str,
        question: str | None = None,
        session_id: str | None = None,
        agent: str | None = "agent",
    ) -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        status = chat(self._url, question, session_id=session_id, agent=agent, plain=False)
        out, err = self._capsys.readouterr()
        return status, out, err


@pytest.fixture
def pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], service: Service
) -> Pipe:
    return Pipe(monkeypatch, capsys, service.url)


def test_a_pipe_gets_the_answers_and_nothing_else(pipe: Pipe, service: Service) -> None:
    service.turns += [[*said("Hello there"), done()], [*said("**Bold** and fine"), done()]]
    status, out, err = pipe("Hi", "", "Again")
    assert (status, out) == (0, "Hello there\n**Bold** and fine\n")
    assert "session-1" in err
    assert "model-a · 42 tokens" in err
    assert service.asked == [
        {"message": "Hi", "session_id": "session-1", "agent": "agent"},
        {"message": "Again", "session_id": "session-1", "agent": "agent"},
    ]


def test_one_question_is_answered_once(pipe: Pipe, service: Service) -> None:
    service.turns += [[*said("Hello there"), done()], [*said("It is 4."), done()]]
    status, out, err = pipe("never read", question="Hi there", agent=None)
    assert (status, out, err) == (0, "Hello there\n", "model-a · 42 tokens\n")
    status, out, _ = pipe("What is", "2 + 2?", question="-", session_id="s", agent="math")
    assert (status, out) == (0, "It is 4.\n")
    assert service.asked == [
        {"message": "Hi there"},  # the service makes the session and chooses the graph
        {"message": "What is\n2 + 2?", "session_id": "s", "agent": "math"},
    ]
    assert service.sessions == 0


@pytest.mark.parametrize("question", ["", " ", "-"])
def test_an_empty_question_is_none(pipe: Pipe, service: Service, question: str) -> None:
    status, out, err = pipe(question=question)
    assert (status, out) == (1, "")
    assert "The question is empty" in err
    assert service.asked == []


def test_one_question_that_gets_no_answer(pipe: Pipe, service: Service) -> None:
    call = {"id": "c1", "name": "send_mail", "args": {"to": "ada"}}
    service.turns += [
        (422, {"detail": "agent: say which graph should answer; there are: a, b."}),
        [*said("Half"), ("error", {"detail": "No model answered."})],
        [("approval", {"calls": [call]}), done(status="interrupted")],
    ]
    for complaint in (
        "there are: a, b.",
        "No model answered.",
        "everturn chat --session session-1",
    ):
        status, out, err = pipe(question="Hi")
        assert (status, out) == (1, "")
        assert complaint in err


def test_the_command_line_takes_a_question(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.turns.append([*said("Fine"), done()])
    assert main(["chat", "--url", service.url, "How", "are you?"]) == 0
    assert capsys.readouterr().out == "Fine\n"
    assert service.asked == [{"message": "How are you?"}]


def test_text_taken_back_never_enters_a_pipe(pipe: Pipe, service: Service) -> None:
    reset = {"message_id": "m1", "attempt": 1, "model": "model-a", "reason": "cut", "chars": 13}
    fallback = {"from": "model-a", "to": "model-b", "reason": "broken_stream"}
    service.turns.append(
        [
            *said("Half an answ", "m1"),
            ("reset", reset),
            ("fallback", fallback),
            *said("A whole answer", "m2"),
            done(route={"mode": "fallback", "model": "model-b", "tried": [{"model": "model-a"}]}),
        ]
    )
    status, out, err = pipe("Hi")
    assert (status, out) == (0, "A whole answer\n")
    assert "took back 13 characters" in err
    assert "model-a: broken stream; asking model-b" in err
    assert "after model-a" in err


def test_tools_are_shown_beside_the_answer(pipe: Pipe, service: Service) -> None:
    call = {"id": "c1", "name": "calculator"}
    service.turns.append(
        [
            *said("Let me see.", "m1"),
            ("tool", {**call, "args": {"expression": "10 * 20"}, "status": "started"}),
            ("tool", {**call, "status": "success", "result": "x" * 500}),
            *said("It is 200.", "m2"),
            done(),
        ]
    )
    _, out, err = pipe("10 * 20?")
    assert out == "Let me see.\nIt is 200.\n"
    assert "calculator(expression='10 * 20')" in err
    assert "calculator → xxx" in err
    assert max(map(len, err.splitlines())) < 130


@pytest.mark.parametrize(
    ("turn", "complaint"),
    [
        ((503, {"detail": "The provider refused the key.", "status": 503}), "refused the key"),
        ((502, "<html>"), "502"),
        ([*said("Half"), ("error", {"detail": "No model answered."})], "No model answered."),
        ([*said("Half"), SILENT_END], "broke off"),
    ],
)
def test_a_failure_is_told_in_the_services_words(
    pipe: Pipe, service: Service, turn: Turn, complaint: str
) -> None:
    service.turns += [turn, [*said("Fine"), done()]]
    status, out, err = pipe("Hi", "And now?")
    assert (status, out) == (1, "Fine\n")
    assert complaint in err


def test_commands(pipe: Pipe, service: Service) -> None:
    service.history = [{"user_message": "Hi", "assistant_message": "Hello"}]
    status, out, err = pipe("/new", "/sessions", "/history", "/help", "/what", "/quit", "unread")
    assert status == 0
    assert "- `session-1` nothing said yet (2026-11-24" in out
    assert ", turns: 0, ended)" in out
    (here,) = [line for line in out.splitlines() if "this one)" in line]
    assert here.startswith("- `session-2` Hi (2026-11-24")
    assert here.endswith(", turns: 1, this one)")
    assert "Hello\n" in out
    assert "/sessions" in out
    assert "There is no /what" in err
    assert service.asked == []


def test_a_session_goes_on(pipe: Pipe, service: Service) -> None:
    service.history = [{"user_message": "Hi", "assistant_message": "Hello"}]
    service.turns.append([done()])
    _, _, err = pipe("Hi", session_id="earlier")
    assert "turns so far: 1" in err
    assert service.sessions == 0
    assert service.asked[0]["session_id"] == "earlier"


def test_a_session_that_never_was(pipe: Pipe) -> None:
    status, out, err = pipe("Hi", session_id="nobody")
    assert (status, out, err) == (1, "", "There never was a session 'nobody'.\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_no_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    status, out, err = Pipe(monkeypatch, capsys, url)("Hi")
    assert (status, out) == (1, "")
    assert err == "Nothing answers at http://127.0.0.1:9. Start it: make run, or everturn serve\n"


def test_a_url_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = Pipe(monkeypatch, capsys, "http://host:port")("Hi")
    assert status == 1
    assert err.startswith("http://host:port: ")


def test_a_reader_that_has_seen_enough(service: Service) -> None:
    service.turns += [[*said("One"), done()], [HOLD, *said("Two"), done()]]
    command = [sys.executable, "-c", RUN, service.url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        process.stdin.write("Hi\nAgain\n")
        process.stdin.close()
        assert process.stdout
        assert process.stdout.readline() == "One\n"
        process.stdout.close()
        service.go.set()
        assert process.stderr
        complaints = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in complaints
    assert "Exception" not in complaints


def test_escape_sequences_of_a_model_do_not_reach_the_terminal(
    pipe: Pipe, service: Service
) -> None:
    service.turns.append([*said("\x1b]0;owned\x07 \x9b2J\tfine"), done(model="\x1b[2J")])
    _, out, err = pipe("Hi")
    assert out == "]0;owned 2J\tfine\n"
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "markdown",
    [
        "One.\n\nTwo.\n\nThree",
        "# Title\ntext\n\n- a\n- b\n\n  more b\n- c\n",
        "```python\nx = 1\n\n\ny = 2\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n\nafter\n",
        "1. one\n\n2. two\n\nafter\n\n***\n\n> quote\n> more\n",
        "",
        "\n\n",
    ],
)
def test_blocks_that_are_done_never_change(markdown: str) -> None:
    """Whatever comes later, what was split off stays the beginning of what will be split off."""
    whole, _ = split_blocks(markdown + "\n\nlast")
    for end in range(len(markdown) + 1):
        before, rest = split_blocks(markdown[:end])
        assert before + rest == markdown[:end]
        assert whole.startswith(before)


def test_lines() -> None:
    paid = {"model": "m", "cost": 0.00125, "usage": {"total_tokens": 3}, "route": None}
    assert receipt(paid) == "m · 3 tokens · $0.001250"
    offline = {"route": {"mode": "offline", "tried": [{"model": "a"}, {"model": "b"}]}}
    assert receipt(offline) == "offline answer · after a, b"
    again = {"model": "a", "route": {"mode": "retry", "tried": [{"model": "a"}]}}
    assert receipt(again) == "a · asked again"
    retried = {"from": "a", "to": "a", "reason": "rate_limited"}
    assert fallback_line(retried) == "↪ a: rate limited; asking it again"
    failed = {"name": "weather", "status": "error", "result": "no\n\nsuch city"}
    assert tool_line(failed) == ("  weather → no such city", "red")
    step = {"id": "1", "text": "find it", "depends_on": [], "status": "running", "result": ""}
    assert step_line(step) == ("▸ 1. find it", "cyan")
    assert step_line({**step, "status": "done", "result": "it"}) == ("  1. done: it", "dim")
    assert step_line({**step, "status": "failed", "result": "no"}) == ("  1. failed: no", "red")


def test_a_conversation_on_a_terminal(service: Service) -> None:
    reset = {"message_id": "m1", "attempt": 1, "model": "model-a", "reason": "cut", "chars": 9}
    service.turns += [
        [
            *said("Gone **soon** and\n\nin two paragraphs", "m1"),
            HOLD,
            ("reset", reset),
            ("fallback", {"from": "model-a", "to": "model-b", "reason": "cut"}),
            *said("# Title\n\nKept **bold** text", "m2"),
            done(),
        ],
        [*said("Endless"), HANG],
        [*said("Still here"), done()],
    ]
    with Terminal(RUN, service.url) as terminal:
        terminal.until("› ")
        terminal.send("Hi\r")
        terminal.until("two paragraphs")
        service.go.set()
        terminal.until("42 tokens")
        terminal.send("Go on\r")
        terminal.until("Endless")
        terminal.send("\x03")
        terminal.until("stopped")
        assert service.left.wait(PATIENCE)
        terminal.send("And?\r")
        terminal.until("42 tokens")
        terminal.until("› ")
        terminal.send("\x04")
        assert terminal.end() == 0
    shown = terminal.shown()
    assert "Kept bold text" in shown
    assert "took back 9 characters" in shown
    assert "Gone" not in shown
    assert "two paragraphs" not in shown
    assert "Still here" in shown
    assert shown.count("Endless") == 1


MAIL = {"id": "c1", "name": "send_mail", "args": {"to": "ada"}, "description": "Send a mail."}
WAITS = [("approval", {"calls": [MAIL]}), done(status="interrupted")]


def test_a_person_decides_on_tool_calls_and_may_change_them(service: Service) -> None:
    service.turns += [
        [*WAITS],
        [*said("Sent."), done()],
        [*WAITS],
        [*said("Not sent."), done()],
        [*WAITS],
        [*WAITS],
        [*said("Sent at last."), done()],
    ]
    with Terminal(RUN, service.url) as terminal:
        terminal.until("› ")
        terminal.send("Mail ada\r")
        terminal.until("send_mail(to='ada')")
        terminal.until("y / n / edit")
        terminal.send("perhaps\r")
        terminal.until("edit changes its arguments")
        terminal.send("e\r")
        terminal.until("arguments › ")
        terminal.until('"ada"}')  # there to be edited
        terminal.send("\x15{oops\r")
        terminal.until("not JSON")
        terminal.send("e\r")
        terminal.until("arguments › ")
        terminal.until('"ada"}')
        terminal.send('\x15{"to": "bob"}\r')
        terminal.until("Sent.")
        terminal.until("42 tokens")
        terminal.send("And again\r")
        terminal.until("y / n / edit")
        terminal.send("n\r")
        terminal.until("why not?")
        terminal.send("too late\r")
        terminal.until("Not sent.")
        terminal.until("42 tokens")
        terminal.send("Once more\r")
        terminal.until("y / n / edit")
        terminal.send("\x04")
        terminal.until("still waiting")
        service.waiting = [MAIL]
        terminal.send("/approve\r")
        terminal.until("y / n / edit")
        terminal.send("y\r")
        terminal.until("y / n / edit")  # the turn goes on, and waits for the next call
        terminal.send("y\r")
        terminal.until("Sent at last.")
        terminal.until("42 tokens")
        service.waiting = []
        terminal.send("/approve\r")
        terminal.until("No tool call waits")
        terminal.send("/quit\r")
        assert terminal.end() == 0
    decisions = [asked["decisions"] for asked in service.asked if "decisions" in asked]
    assert decisions == [
        [{"id": "c1", "type": "edit", "args": {"to": "bob"}}],
        [{"id": "c1", "type": "reject", "message": "too late"}],
        [{"id": "c1", "type": "approve"}],
        [{"id": "c1", "type": "approve"}],
    ]


def test_nobody_at_a_pipe_can_approve(service: Service) -> None:
    service.turns += [[*WAITS], [*said("Fine."), done()]]
    run = subprocess.run(
        [sys.executable, "-c", RUN, service.url],
        input="Mail ada\nForget it\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 1
    assert "send_mail(to='ada')" in run.stderr
    assert re.search("must approve this, at a terminal: everturn chat --session .", run.stderr)
    assert run.stdout == "Fine.\n"


def test_an_answer_longer_than_the_window_is_all_there(service: Service) -> None:
    text = "\n\n".join(f"Paragraph {number}." for number in range(60))
    service.turns.append([*said(text), done()])
    with Terminal(RUN, service.url) as terminal:
        terminal.until("› ")
        terminal.send("Hi\r")
        terminal.until("42 tokens")
        terminal.send("/quit\r")
        assert terminal.end() == 0
    shown = re.findall(r"Paragraph \d+\.", terminal.shown())
    assert shown == [f"Paragraph {number}." for number in range(60)]


def test_plain_on_a_terminal_streams_raw_text(service: Service) -> None:
    service.turns.append([*said("**raw** text"), HANG])
    with Terminal(RUN, service.url, "--plain") as terminal:
        terminal.until("› ")
        terminal.send("Hi\r")
        terminal.until("**raw** text")
        terminal.send("\x03")
        terminal.until("stopped")
        terminal.send("/quit\r")
        assert terminal.end() == 0


def test_without_rich_a_terminal_hears_how_to_get_it(service: Service) -> None:
    hidden = "import sys; sys.modules['rich'] = sys.modules['rich.console'] = None\n"
    with Terminal(hidden + RUN, service.url) as terminal:
        terminal.until("pip install rich")
        assert terminal.end() == 1
    assert "Traceback" not in terminal.output
