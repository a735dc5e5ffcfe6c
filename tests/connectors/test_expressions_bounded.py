"""Expressions that would take minutes and gigabytes end soon; the process that evaluates them may die."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, StartWorker
from hypothesis import given, settings
from hypothesis import strategies as st
from support.queues import Queues, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually

from connectors import Message, Trash
from connectors.nodes.evaluating import MOST_ANSWERED
from connectors.nodes.evaluator import Evaluator, evaluator
from connectors.nodes.expression import Languages, Templates
from connectors.nodes.languages import ExpressionFailed, ExpressionWrong
from connectors.nodes.steps import TooManySteps, parse, search
from worker.testing import InMemoryTopology

DOUBLED = " | ".join(["[@, @]"] * 40)
ENDLESS = "15 | round(-1000000000)"
LONG, LARGE = "it takes longer than 2 s", "it takes more than 1024 MiB of memory"


@pytest.fixture
async def fresh() -> AsyncIterator[Evaluator]:
    """An evaluator with a process of its own."""
    made = Evaluator()
    yield made
    made.close()


def pid_of(evaluating: Evaluator) -> int:
    assert evaluating._process is not None
    return evaluating._process.pid


async def value(given: Evaluator, language: str, text: str, data: Any = None) -> Any:
    return await given.evaluate(language, text, json.dumps(data), {})


@pytest.mark.parametrize(
    ("language", "text", "reason"),
    [
        ("template", "{{ '%02000000000d' % data[0] }}", LARGE),
        ("template", "{{ [1] | batch(1000000000, 1) | list }}", LARGE),
        ("template", "{{ [[1]] | tojson(indent=1500000000) }}", LARGE),
        ("jinja", ENDLESS, LONG),
        ("jsonata", "$pad('x', 1500000000)", LARGE),
        ("jmespath", DOUBLED, LONG),
    ],
)
async def test_what_would_take_the_machine_is_stopped(fresh: Evaluator, language: str, text: str, reason: str) -> None:
    with pytest.raises(ExpressionFailed, match=reason):
        await value(fresh, language, text, [1])
    assert await value(fresh, "jsonata", "a", {"a": 1}) == 1


@pytest.mark.timing
async def test_what_takes_long_takes_the_time_of_another_process(fresh: Evaluator) -> None:
    before = os.times().user
    with pytest.raises(ExpressionFailed, match=LONG):
        await value(fresh, "jinja", ENDLESS, [1])
    assert os.times().user - before < 1


@pytest.mark.parametrize("text", [DOUBLED, DOUBLED.replace("[@, @]", "join('', [to_string(@), to_string(@)])")])
def test_jmespath_is_counted_here(text: str) -> None:
    with pytest.raises(TooManySteps):
        search(parse(text), [1], {})


@pytest.mark.parametrize("text", ["[::`0`]", "[::0]", "sum([`1`, `1e999`])", "ceil(`1e999`)", "contains('a', `1`)"])
def test_whatever_jmespath_raises_is_one_error(text: str) -> None:
    with suppress(ExpressionFailed, ExpressionWrong):
        search(parse(text), [1], {})


PARTS = st.sampled_from(
    [*"@*$[](){}|&!.,:'\"`?<>=+-%0a", "[@, @]", " | ", "[]", "[*]", "join('', ", "to_string(", "sort_by(@, &", "{a: @}"]
)


DATA = st.sampled_from([None, 1, "b", [1, [2]], {"a": ["b", {}]}])


@given(st.lists(PARTS, min_size=1, max_size=25).map("".join), DATA)
@settings(max_examples=200)
def test_any_jmespath_gives_a_value_or_its_error(text: str, data: Any) -> None:
    with suppress(ExpressionFailed, ExpressionWrong):
        search(parse(text), data, {"a": "b"}, 2_000)


@given(st.sampled_from(["jinja", "template", "jsonata"]), st.lists(PARTS, min_size=1, max_size=12).map("".join))
@settings(max_examples=150)
def test_any_text_is_an_expression_or_wrong(language: str, text: str) -> None:
    shown = f"{{{{ {text} }}}}" if language == "template" else text

    async def evaluated() -> None:
        evaluator().check(language, shown)
        await evaluator().evaluate(language, shown, '{"a": [1, "b"]}', {})

    with suppress(ExpressionFailed, ExpressionWrong):
        asyncio.run(evaluated())


async def test_a_process_that_is_killed_costs_no_message(fresh: Evaluator) -> None:
    await value(fresh, "jsonata", "a", {"a": 1})
    asked = [asyncio.create_task(value(fresh, "jsonata", "a", {"a": n})) for n in range(200)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    os.kill(pid_of(fresh), signal.SIGKILL)
    assert await asyncio.gather(*asked) == list(range(200))


async def test_innocents_go_on_when_one_ends_the_process(fresh: Evaluator) -> None:
    texts = ["data[0]", ENDLESS, "data[0] + 1", "data[0] + 2"]
    answers = await asyncio.gather(*(value(fresh, "jinja", text, [1]) for text in texts), return_exceptions=True)
    assert [answers[0], *answers[2:]] == [1, 2, 3]
    assert isinstance(answers[1], ExpressionFailed)


async def test_one_that_ends_the_process_twice_is_judged(fresh: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stands still is ended, as nobody knows whether it will go on."""
    monkeypatch.setattr("connectors.nodes.evaluator.PATIENCE_SECONDS", 0.2)
    start = Evaluator._start

    def start_and_stop(self: Evaluator) -> None:
        start(self)
        os.kill(pid_of(self), signal.SIGSTOP)

    monkeypatch.setattr(Evaluator, "_start", start_and_stop)
    with pytest.raises(ExpressionFailed, match="ended the process that evaluates expressions, twice"):
        await value(fresh, "jsonata", "a", {"a": 1})


async def test_the_process_has_nothing_of_the_worker(fresh: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_DATABASE_URL", "postgresql://user:secret@host/db")
    before = sys.getrecursionlimit()
    await value(fresh, "jsonata", "a", {"a": 1})
    place = Path(f"/proc/{pid_of(fresh)}")
    assert sorted(entry.name for entry in (place / "fd").iterdir()) == ["0", "1", "2"]
    assert b"secret" not in (place / "environ").read_bytes()
    assert sys.getrecursionlimit() == before
    assert "jsonata" not in sys.modules


async def test_signals_for_the_worker_do_not_end_it(fresh: Evaluator) -> None:
    await value(fresh, "jsonata", "a", {"a": 1})
    pid = pid_of(fresh)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, name)
    assert await value(fresh, "jsonata", "a", {"a": 2}) == 2
    assert pid_of(fresh) == pid


WORKER = """
import asyncio, sys
from connectors.nodes.evaluator import evaluator

async def main():
    await evaluator().evaluate("jinja", "1", "[]", {})
    print(evaluator()._process.pid, flush=True)
    await evaluator().evaluate("jinja", sys.argv[1], "[1]", {})
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("busy", ["1", ENDLESS])
async def test_the_process_ends_with_a_worker_that_is_killed(busy: str) -> None:
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, busy, stdout=asyncio.subprocess.PIPE)
    assert worker.stdout is not None
    pid = int(await worker.stdout.readline())
    worker.kill()
    await worker.wait()
    await eventually(lambda: not is_running(pid), what="the end of the process")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_event_loops_one_after_the_other_share_the_process() -> None:
    async def pid() -> int:
        assert await value(evaluator(), "jsonata", "a", {"a": 1}) == 1
        return pid_of(evaluator())

    assert asyncio.run(pid()) == asyncio.run(pid())


async def test_a_large_body_is_read_elsewhere_and_an_answer_is_bounded(fresh: Evaluator) -> None:
    body = json.dumps(["x" * 1000] * 20_000)
    assert await fresh.evaluate("jmespath", "length(@)", body, {}) == 20_000
    with pytest.raises(ExpressionFailed, match="makes more than"):
        await fresh.evaluate("jsonata", "$append($, $)", json.dumps("x" * (MOST_ANSWERED // 2 + 1)), {})


@pytest.mark.parametrize("body", ["[" * 100_000, '"' + "\ud800" + '"', "{", ""])
@pytest.mark.parametrize("language", ["jmespath", "jsonata", "jinja"])
async def test_whatever_the_body_is_the_message_is_judged(language: str, body: str) -> None:
    expression = Languages.model_validate({language: "a" if language != "jinja" else "data.a"}).expression
    with suppress(Trash):
        assert await expression.of(Message({}, body)) is None


async def test_a_template_makes_text_and_a_condition_a_value() -> None:
    message: Message[Any] = Message({}, '{"a": 1}')
    assert await Templates.model_validate({"jinja": "{{ data.a }}"}).expression.of(message) == "1"
    assert await Languages.model_validate({"jinja": "data.a"}).expression.of(message) == 1


JUDGING = {"jinja": "data > 0 or (15 | round(data - 1000000000)) == 1"}
"""Lets numbers pass; one below 1 makes it endless."""


async def test_a_topology_in_memory_evaluates_as_a_worker_does() -> None:
    settings = {"actionPath": "/custom-node/filter/process", "configuration": JUDGING}
    judge = {"id": "1", "name": "judge", "worker": "worker.custom_node", "settings": settings}
    judge["followers"] = [{"id": "2", "name": "sink"}]
    async with InMemoryTopology({"id": "t", "name": "numbers", "nodes": [judge]}) as running:
        for number in (1, 0, 2):
            await running.start("judge", number)
        await running.run()
        assert [message.data for message in running.messages("sink")] == [1, 2]
        (entry,) = await running.trash()
        assert entry.reason.endswith(f"failed {LONG}")


async def test_two_processes_have_each_their_own_and_outlive_it(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    judge = custom_node("judge", "filter", "sink", configuration=JUDGING)
    topology = make_topology(judge, sink())
    worker = await start_worker(topology, processes=2)
    sent = [process_message(number) for number in [*range(1, 40), 0, *range(40, 80)]]
    await queues.publish(topology.exchange("judge"), *sent)
    messages = await queues.read(topology.queue("sink"), 79)
    assert sorted(message.data for message in messages) == list(range(1, 80))
    await eventually(lambda: len(worker.logged("message_trashed")) == 1, what="the endless one in the trash")
