"""Scripts as people write them: in the style of EPM Processor's samples, and plain functions."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from datetime import datetime

import pytest
from tests.harness.proto import event_pb2, trigger_pb2
from tests.integration.interpreter import Interpreter, failed, parameters, succeeded

DAY_US = 86_400_000_000


@pytest.fixture
def interpreter(tmp_path: pathlib.Path) -> Iterator[Interpreter]:
    process = Interpreter(tmp_path)
    yield process
    assert process.close() == 0


def test_an_epm_method_that_returns_nothing_succeeds(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import epmprocessor as epr
from datetime import timedelta

@epr.applicationMethod('Mean')
def mean(session, variable='Tank1', factor=2):
    '''Mean of a variable over the session's range.'''
    end = session.timeEvent
    print(end.isoformat(), (end - session.range).isoformat())
    print(end - timedelta(session.range) == end - session.range)
    print(timedelta(seconds=session.processInterval), session.processInterval.total_seconds())
    print(variable, factor)
""",
        range_us=2 * DAY_US,
        process_interval_us=90_000_000,
        parameters=parameters(variable='"Tank7"'),
    )
    finished = interpreter.run(code)
    assert succeeded(finished).splitlines() == [
        "2026-01-31T12:00:00+00:00 2026-01-29T12:00:00+00:00",
        "True",
        "0:01:30 90.0",
        "Tank7 2",
    ]
    assert finished.result == ""
    assert json.loads(finished.last_executed_json) == {"when_us": 1769860800000000, "succeeded": True}


def test_scope_results_decide_and_other_values_do_not(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import epmprocessor as epr

@epr.applicationMethod('M')
def m(session, what):
    return {'good': epr.ScopeResult(True), 'bad': epr.ScopeResult(False), 'seven': 7, 'odd': object()}[what]
"""
    )
    assert interpreter.run(code, parameters=parameters(what='"good"')).result == "true"
    finished = interpreter.run(code, parameters=parameters(what='"bad"'))
    assert failed(finished) == "ScopeResult: the method returned ScopeResult(False)"
    assert json.loads(finished.last_executed_json)["succeeded"] is False
    assert interpreter.run(code, parameters=parameters(what='"seven"')).result == "7"
    succeeded(interpreter.run(code, parameters=parameters(what='"odd"')))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("EVENT", "Production"), ("SCHEDULE", "Production"), ("SIMULATION", "Simulation"), ("DEMAND", "Test")],
)
def test_the_scope_context_says_why_it_runs(interpreter: Interpreter, kind: str, name: str) -> None:
    code = interpreter.script(
        """
import epmprocessor as epr

@epr.applicationMethod('M')
def m(session):
    both = session.scopeContext == epr.ScopeContext.Test, session.scopeContext == session.scopeContext.Test
    assert both[0] == both[1]
    print(session.scopeContext.name)
"""
    )
    assert succeeded(interpreter.run(code, kind=getattr(trigger_pb2, f"TRIGGER_KIND_{kind}"))) == name + "\n"


def test_the_user_cache_and_the_last_execution_come_back(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import json
from epmprocessor import ScopeResult, applicationMethod

@applicationMethod('Count')
def count(session):
    infos = json.loads(session.userCache.get('infos', '[]'))
    infos.append(len(infos))
    session.userCache['infos'] = json.dumps(infos)
    last = session.lastExecutedInfo
    print(None if last is None else (last.when.year, last.scopeResult.succeeded))
    return ScopeResult(True)
"""
    )
    first = interpreter.run(code)
    assert succeeded(first) == "None\n"
    assert first.user_cache_changed
    second = interpreter.run(code, user_cache_json=first.user_cache_json, last_executed_json=first.last_executed_json)
    assert succeeded(second) == "(2026, True)\n"
    assert json.loads(second.user_cache_json) == {"infos": "[0, 1]"}


def test_a_cache_that_did_not_change_is_not_written(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
from engenho import method
@method('M')
def m(session): session.userCache.setdefault('x', 1.5)
""",
        state=True,
    )
    assert interpreter.run(code).user_cache_json == '{"x":1.5}'
    assert not interpreter.run(code, user_cache_json='{"x":1.5}').user_cache_changed


def test_the_event_of_epm_has_payload_and_instance(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import epmprocessor as epr

@epr.applicationMethod('M')
def m(session):
    info = session.eventInfo
    print(info and (info.instance.name, info.payload))
    print(next(iter(session.connections.values()), None), type(session.connections).__name__, session.parametersMap)
""",
        session_parameters=parameters(site='"north"'),
    )
    named = event_pb2.NamedEvent(name="Alarm", instance="1:Pump14")
    named.payload.add(name="Level").value.number = 4.5
    named.payload.add(name="On").value.boolean = True
    output = succeeded(interpreter.run(code, event=event_pb2.Event(connection="plant", named=named)))
    assert output == "('1:Pump14', {'Level': 4.5, 'On': True})\nNone OrderedDict {'site': 'north'}\n"
    assert succeeded(interpreter.run(code)).startswith("None\n")


def test_the_event_of_a_plain_function_has_every_member(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
from engenho import method

@method('M')
def m(event):
    e = event
    return [e.connection, e.object, e.value, e.previous, e.quality, e.timestamp.isoformat(), e.name, e.instance, e.payload,
            e.process, e.fromStage, e.toStage, e.fields, e.id]
"""
    )
    event = event_pb2.Event(connection="plant", object="Nível", quality=1026, timestamp_us=-1, id="e1")
    event.value.integer = -(2**40)
    assert json.loads(interpreter.run(code, event=event).result) == [
        "plant", "Nível", -(2**40), None, 1026, "1969-12-31T23:59:59.999999+00:00", "", "", {}, "", "", "", {}, "e1",
    ]  # fmt: skip
    event = event_pb2.Event(connection="plant", timestamp_us=951_782_400_000_000)
    event.previous.text = "x"
    event.transition.process, event.transition.instance = "Fault", "17"
    event.transition.from_stage, event.transition.to_stage = "open", "closed"
    event.transition.fields.add(name="who").value.text = "Ana"
    event.transition.fields.add(name="none").value.SetInParent()
    assert json.loads(interpreter.run(code, event=event).result) == [
        "plant", "", None, "x", 0, "2000-02-29T00:00:00+00:00", "", "17", {}, "Fault", "open", "closed", {"who": "Ana", "none": None}, "",
    ]  # fmt: skip


def test_a_packed_event_is_the_same_and_a_broken_one_is_one_sentence(interpreter: Interpreter) -> None:
    code = interpreter.script("from engenho import method\n@method('M')\ndef m(event): return event.value\n")
    event = event_pb2.Event(connection="plant", object="T")
    event.value.number = 1e-7
    assert interpreter.run(code, event=None, event_bytes=event.SerializeToString()).result == "1e-07"
    assert "is not an event" in failed(interpreter.run(code, event=None, event_bytes=b"\x1a\xff\xff\xff"))


def test_without_an_event_it_is_none_and_the_nominal_time_counts(interpreter: Interpreter) -> None:
    code = interpreter.script(
        "from engenho import method\n@method('M')\ndef m(event, session): return [event, session.timeEvent.isoformat()]\n"
    )
    finished = interpreter.run(code, event=None, time_event_us=0, nominal_us=1_000_000)
    assert finished.result == '[null,"1970-01-01T00:00:01+00:00"]'
    finished = interpreter.run(code, event=None, time_event_us=0)
    _, when = json.loads(finished.result)
    assert datetime.fromisoformat(when).timestamp() == pytest.approx(finished.start_us / 1e6, abs=0.001)


def test_parameters_bind_by_name_wherever_session_stands(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import epmprocessor.epm as epm

@epm.applicationMethod('M')
def m(b, session, a=1, *, c=3):
    print(a, b, c, session.attempt, session.executionId)
""",
        parameters=parameters(b="[1, 2]", a='{"x": "y"}'),
    )
    assert succeeded(interpreter.run(code, attempt=3, execution_id="id")) == "{'x': 'y'} [1, 2] 3 3 id\n"


@pytest.mark.parametrize(
    ("sources", "method", "options", "sentence"),
    [
        ({"a": "1 +\n"}, "M", {}, "the package does not import at a.py:1: SyntaxError"),
        ({"a": "x = 1\n\nimport nothing_like_it\n"}, "M", {}, "the package does not import at a.py:3: ModuleNotFoundError"),
        ({"a": "x = 1\n"}, "M", {}, "declares no method"),
        ({"a": "from engenho import method\n@method('N')\ndef n(): pass\n"}, "M", {}, "no method 'M': it has 'N'"),
        (
            {name: "from engenho import method\n\n@method('M')\ndef m(): pass\n" for name in ("a", "b")},
            "M",
            {},
            "method 'M' is declared twice, in a.py:3 and in b.py:3",
        ),
        ({"a": "from engenho import method\n@method('M')\ndef m(*rest): pass\n"}, "M", {}, "takes *rest"),
        ({"a": "from engenho import method\n@method(3)\ndef m(): pass\n"}, "M", {}, "one text"),
        ({"a": "def run(): pass\n"}, "", {"main": "b.py:run"}, "'b.py', which is not in the package"),
        ({"a": "def run(): pass\n"}, "", {"main": "a.py:walk"}, "'walk', which a.py does not have"),
        ({"a": "def run(): pass\n"}, "", {"main": "../a.py:run"}, "which is not in the package"),
        ({"a": "def run(): pass\n"}, "", {"main": "a.py"}, "write FILE:FUNCTION"),
        (
            {"a": "from engenho import method\n@method('M')\ndef m(event, limit): pass\n"},
            "M",
            {"parameters": parameters(limt="1")},
            "no parameter 'limt': it takes 'event', 'limit'",
        ),
        ({"json": "x = 1\n"}, "M", {}, "json.py has the name of a Python module that is in use"),
    ],
)
def test_a_package_that_cannot_be_used_is_one_sentence(
    interpreter: Interpreter, sources: dict[str, str], method: str, options: dict[str, object], sentence: str
) -> None:
    loaded = interpreter.load(interpreter.package(**sources), method, **options)
    assert sentence in loaded.error
    assert "\n" not in loaded.error
    assert "_packages.py" not in loaded.traceback
    # The interpreter is fit for others.
    code = interpreter.script("from engenho import method\n@method('M')\ndef m(): return 1\n")
    assert interpreter.run(code).result == "1"


def test_a_package_without_decorators_names_its_main(interpreter: Interpreter) -> None:
    folder = interpreter.package(helper="VALUE = 5\n", plant="import helper\ndef run(event, add=1): return helper.VALUE + add\n")
    loaded = interpreter.load(folder, main="plant.py:run", parameters=parameters(add="2"))
    assert not loaded.error
    assert not loaded.epm_method
    assert interpreter.run(loaded.code).result == "7"


def test_an_archive_with_one_folder_around_everything(interpreter: Interpreter) -> None:
    folder = interpreter.directory / "wrapped"
    (folder / "my-plant-1.0").mkdir(parents=True)
    (folder / "my-plant-1.0/plant.py").write_text("from engenho import method\n@method('M')\ndef m(): return 1\n")
    loaded = interpreter.load(folder, "M")
    assert not loaded.error
    assert list(loaded.methods) == ["M"]
    assert interpreter.run(loaded.code).result == "1"


def test_a_parameter_without_value_is_one_sentence(interpreter: Interpreter) -> None:
    code = interpreter.script("from engenho import method\n@method('M')\ndef m(limit): pass\n")
    assert "'limit' has no value and no default" in failed(interpreter.run(code))
    assert interpreter.run(code, parameters=parameters(limit="1")).error == ""


def test_the_traceback_shows_the_scripts_frames_only(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import json
from engenho import method

def inner(text):
    try:
        return json.loads(text)
    except ValueError as error:
        raise Exception('a bad answer') from error

@method('M')
def m(): inner('{')
"""
    )
    finished = interpreter.run(code)
    assert failed(finished) == "Exception: a bad answer"
    assert "in inner" in finished.traceback and "JSONDecodeError" in finished.traceback
    assert "engenho/_" not in finished.traceback


def test_logging_and_warnings_are_captured(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import logging, sys, warnings
from engenho import method

@method('M')
def m():
    logging.warning('from the log')
    warnings.warn('from a warning')
    sys.stdout.buffer.write(b'bytes\\n')
    sys.stderr.writelines(['a', 'b\\n'])
    print(sys.stdout.encoding, sys.stdout.isatty(), input is not None)
    try: input()
    except EOFError: print('no input')
"""
    )
    output = succeeded(interpreter.run(code))
    for part in ("from the log", "from a warning", "bytes\n", "ab\n", "utf-8 False True", "no input"):
        assert part in output


def test_python_is_isolated_from_its_environment(interpreter: Interpreter) -> None:
    code = interpreter.script(
        """
import os, site, sys
from engenho import method

@method('M')
def m():
    return [sys.flags.isolated, sys.flags.no_user_site, sys.flags.ignore_environment, sys.executable, len(sys.argv)]
"""
    )
    isolated, no_user_site, ignore_environment, executable, _ = json.loads(interpreter.run(code).result)
    assert (isolated, no_user_site, ignore_environment) == (1, 1, 1)
    assert executable.startswith("/usr/bin/python3")
