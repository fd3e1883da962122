"""The `shoal` command: what it prints, what it changes, and how it ends."""

from __future__ import annotations

import datetime as dt
import io
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import Result, Run

import shoal
from shoal.cli.doctor import stores
from shoal.cli.output import human_age, human_size, printable
from shoal.cli.values import jsonable, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def name() -> Iterator[str]:
    """Return the name of an arena that nobody else uses; it is gone after the test."""
    chosen = f"cli-{uuid.uuid4().hex}"
    yield chosen
    if chosen in [info.name for info in shoal.list_arenas()]:
        shoal.destroy(chosen)


@pytest.fixture(params=["shm", "memory"])
def store(request: pytest.FixtureRequest, name: str) -> Iterator[shoal.Store]:
    """Return an open store, which the commands find by its URL."""
    with shoal.open(f"{request.param}://{name}", size="8MiB") as opened:
        yield opened


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "shoal", *map(str, arguments)]


def in_shell(*arguments: object, **options: Any) -> Result:
    """Run one command as a program of its own."""
    done = subprocess.run(command(*arguments), capture_output=True, check=False, timeout=60, **options)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


# ------------------------------------------------ entries


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("13", 13),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ('"13"', "13"),
        ("john", "john"),
        ("{not json", "{not json"),
        ('{"a": [1, 2, null]}', {"a": [1, 2, None]}),
        ("", ""),
    ],
)
def test_set_takes_json_or_else_text(run: Run, store: shoal.Store, argument: str, value: object) -> None:
    assert run("set", store.url, "key", argument) == (0, "", "")
    assert store["key"] == value
    assert type(store["key"]) is type(value)


def test_set_str_takes_text_whatever_it_is(run: Run, store: shoal.Store) -> None:
    assert run("set", store.url, "key", "13", "--str").code == 0
    assert store["key"] == "13"


def test_set_takes_bytes_from_a_file_and_from_standard_input(
    run: Run, store: shoal.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"\x00\xff")
    assert run("set", store.url, "file", "--file", tmp_path / "file").code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("schön".encode())))
    assert run("set", store.url, "input", "-").code == 0
    (tmp_path / "text").write_text("schön")
    assert run("set", store.url, "text", "--str", "--file", tmp_path / "text").code == 0
    assert dict(store) == {"file": b"\x00\xff", "input": "schön".encode(), "text": "schön"}


def test_set_wants_one_source_of_the_value(run: Run, store: shoal.Store, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")
    assert run("set", store.url, "key").code == 2
    assert run("set", store.url, "key", "1", "--file", tmp_path / "latin").code == 2
    assert run("set", store.url, "key", "--str", "--file", tmp_path / "latin").code == 2
    assert run("set", store.url, "key", "--file", tmp_path / "absent").code == 3
    assert len(store) == 0


def test_set_on_condition(run: Run, store: shoal.Store) -> None:
    assert run("set", store.url, "key", "1", "--replace").code == 1
    assert "key" not in store
    assert run("set", store.url, "key", "1", "--add").code == 0
    assert run("set", store.url, "key", "2", "--add").code == 1
    assert store["key"] == 1
    assert run("set", store.url, "key", "3", "--replace").code == 0
    assert store["key"] == 3
    assert run("set", store.url, "key", "4", "--add", "--replace").code == 2


def test_set_tells_the_version(run: Run, store: shoal.Store) -> None:
    first = run("set", store.url, "key", "1", "--json").json
    assert first == {"set": True, "version": store.metadata("key").version}
    assert run("set", store.url, "key", "1", "--json").json["version"] > first["version"]


def test_get_prints_text_as_it_is_and_the_rest_as_json(run: Run, store: shoal.Store) -> None:
    store.update(text="schön\tja", none=None, flag=True, number=1.5, many={"a": [1, {}]})
    assert run("get", store.url, "text") == (0, "schön\tja\n", "")
    assert run("get", store.url, "none").out == "null\n"
    assert run("get", store.url, "flag").out == "true\n"
    assert run("get", store.url, "number").out == "1.5\n"
    assert run("get", store.url, "many").out == '{"a": [1, {}]}\n'


def test_get_prints_what_json_lacks_as_python_does(run: Run, store: shoal.Store) -> None:
    store["tuple"] = (1, "a")
    store["inside"] = {"a": (1, 2)}
    store["array"] = np.arange(3)
    assert run("get", store.url, "tuple").out == "(1, 'a')\n"
    assert run("get", store.url, "inside").out == "{'a': (1, 2)}\n"
    assert run("get", store.url, "array").out == "array([0, 1, 2])\n"


def test_get_prints_json_for_a_program(run: Run, store: shoal.Store) -> None:
    when = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
    store["all"] = {
        "array": np.arange(4).reshape(2, 2),
        "bytes": b"\x00\xff",
        "nan": float("nan"),
        "nested": [(1, {2}), "text"],
        "when": when,
        7: dt.timedelta(minutes=1),
    }
    assert run("get", store.url, "all", "--json").json == {
        "array": [[0, 1], [2, 3]],
        "bytes": {"$bytes": "AP8="},
        "nan": "nan",
        "nested": [[1, [2]], "text"],
        "when": "2026-05-04T03:02:01+00:00",
        "7": 60.0,
    }


def test_get_gives_bytes_untouched(name: str) -> None:
    data = bytes(range(256)) * 1000
    with shoal.open(name) as store:
        store["data"] = data
        done = subprocess.run(command("get", name, "data"), capture_output=True, check=True, timeout=60)
    assert done.stdout == data


def test_an_absent_key_is_code_1(run: Run, store: shoal.Store) -> None:
    for arguments in (["get"], ["ttl"], ["stat"], ["get", "--json"]):
        result = run(*arguments, store.url, "absent")
        assert result.code == 1
        assert result.out == ""
        assert result.err == "shoal: no such key: 'absent'\n"


def test_keys_are_sorted_and_match_a_glob(run: Run, store: shoal.Store) -> None:
    store.update({"user:2": 2, "user:1": 1, "other": 3})
    assert run("keys", store.url).out == "other\nuser:1\nuser:2\n"
    assert run("keys", store.url, "user:*").out == "user:1\nuser:2\n"
    assert run("keys", store.url, "user:*", "--json").json == ["user:1", "user:2"]
    assert run("keys", store.url, "nobody*") == (0, "", "")


def test_keys_break_no_lines(run: Run, store: shoal.Store) -> None:
    store["a\nb\x1b[2J"] = 1
    assert run("keys", store.url).out == "a\\nb\\x1b[2J\n"
    assert run("keys", store.url, "--json").json == ["a\nb\x1b[2J"]


def test_keys_long(run: Run, store: shoal.Store) -> None:
    store["plain"] = 1
    store.set("soon", "x" * 10, ttl=60)
    plain, soon = run("keys", store.url, "-l", "--json").json
    assert plain == {"key": "plain", "type": "int", "size": 1, "version": store.metadata("plain").version, "ttl": None}
    assert 0 < soon["ttl"] <= 60
    head, first, second = run("keys", store.url, "-l").out.splitlines()
    assert head.split() == ["type", "size", "version", "expires", "in", "key"]
    assert first.split()[0] == "int"
    assert first.split()[-2:] == ["never", "plain"]
    assert second.endswith("soon")


def test_a_malformed_pattern_is_wrong_usage(run: Run, store: shoal.Store) -> None:
    result = run("keys", store.url, "[a")
    assert result.code == 2
    assert result.err.startswith("shoal: ")


def test_del_removes_and_says_whether_there_was_any(run: Run, store: shoal.Store) -> None:
    store.update(a=1, b=2, c=3)
    assert run("del", store.url, "a", "absent").code == 0
    assert run("del", store.url, "b", "absent", "--json").json == {"deleted": 1}
    assert run("del", store.url, "absent").code == 1
    assert dict(store) == {"c": 3}


def test_ttl_tells_and_changes(run: Run, store: shoal.Store) -> None:
    store["key"] = 1
    assert run("ttl", store.url, "key").out == "never\n"
    assert run("ttl", store.url, "key", "--json").json == {"ttl": None}
    assert run("ttl", store.url, "key", "100").code == 0
    assert 90 < float(run("ttl", store.url, "key").out) <= 100
    assert run("ttl", store.url, "key", "never").code == 0
    assert store.ttl("key") is None
    assert run("ttl", store.url, "absent", "100").code == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", ""])
def test_what_is_no_time_to_live_is_wrong_usage(run: Run, store: shoal.Store, seconds: str) -> None:
    store["key"] = 1
    assert run("set", store.url, "key", "2", f"--ttl={seconds}").code == 2
    assert run("ttl", store.url, "key", "--", seconds).code == 2
    assert store["key"] == 1
    assert store.ttl("key") is None


def test_set_with_a_time_to_live(run: Run, store: shoal.Store) -> None:
    assert run("set", store.url, "key", "2", "--ttl", "100").code == 0
    left = store.ttl("key")
    assert left is not None
    assert 90 < left <= 100


def test_namespaces(run: Run, store: shoal.Store) -> None:
    users = store.namespace("users")
    assert run("set", store.url, "key", "1", "-n", "users").code == 0
    assert dict(users) == {"key": 1}
    assert len(store) == 0
    assert run("get", "--namespace", "users", store.url, "key").out == "1\n"
    assert run("get", users.url, "key").out == "1\n"
    assert run("get", store.url, "key").code == 1
    spaces = run("ls", store.url, "--json").json
    assert [(space["name"], space["entries"]) for space in spaces] == [("default", 0), ("users", 1)]
    assert "users" in run("ls", store.url).out


def test_keys_that_cannot_be_are_wrong_usage(run: Run, store: shoal.Store) -> None:
    assert run("get", store.url, "").code == 2
    assert run("set", store.url, "k" * 65_536, "1").code == 2


# ------------------------------------------------ stores


def test_stat_of_a_store(run: Run, store: shoal.Store) -> None:
    store["key"] = 1
    figures = run("stat", store.url, "--json").json
    assert figures["entries"] == 1
    assert figures["namespaces"]["default"]["entries"] == 1
    assert figures["capacity"] == store.stats().capacity
    text = run("stat", store.url).out
    assert "hit ratio" in text
    assert store.url in text


def test_stat_of_an_entry(run: Run, store: shoal.Store) -> None:
    store.set("key", "value", ttl=100)
    found = store.metadata("key")
    told = run("stat", store.url, "key", "--json").json
    assert told["type"] == "str"
    assert told["version"] == found.version
    assert dt.datetime.fromisoformat(told["created_at"]) == found.created_at
    assert "modified at" in run("stat", store.url, "key").out


def test_set_makes_a_store_that_stays(name: str) -> None:
    made = in_shell("set", name, "key", "1", "--size", "4MiB")
    assert made.code == 0
    assert made.err == f"shoal: created shm://{name}, which stays until 'shoal rm {name}'\n"
    assert in_shell("get", name, "key") == (0, "1\n", "")
    assert in_shell("set", name, "key", "2").err == ""
    arena = next(arena for arena in in_shell("ls", "--json").json if arena["name"] == name)
    assert arena["capacity"] == 4 << 20
    assert arena["persist"] is True
    assert arena["alive"] is False
    assert arena["mode"] == "0600"
    assert in_shell("rm", name).code == 0
    assert name not in [info.name for info in shoal.list_arenas()]


def test_reading_makes_no_store(run: Run, name: str) -> None:
    for arguments in (["get", name, "k"], ["keys", name], ["stat", name], ["del", name, "k"], ["doctor", name]):
        result = run(*arguments)
        assert result.code == 3, arguments
        assert result.out == ""
        assert name in result.err
        assert result.err.count("\n") == 1
    assert run("rm", name).code == 3
    assert name not in [info.name for info in shoal.list_arenas()]


def test_ls_lists_arenas(run: Run, name: str) -> None:
    with shoal.open(name, size="4MiB"):
        table = run("ls").out
        arena = next(arena for arena in run("ls", "--json").json if arena["name"] == name)
    assert arena["alive"] is True
    assert arena["persist"] is False
    line = next(line for line in table.splitlines() if line.startswith(name))
    assert line.endswith("in use")


def test_rm_spares_what_is_in_use_unless_forced(run: Run, name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        refused = run("rm", name, "--json")
        assert refused.code == 1
        assert refused.json == {"removed": [], "refused": [name]}
        assert store["key"] == 1
        assert run("rm", name, "--force").code == 0
        assert name not in [info.name for info in shoal.list_arenas()]
        assert store["key"] == 1


def test_gc_removes_what_the_dead_left(run: Run, name: str) -> None:
    program = f"import os, signal, shoal; s = shoal.open({name!r}); s['k'] = 1; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert name in run("gc", "--json").json["removed"]
    assert name not in [info.name for info in shoal.list_arenas()]
    assert name not in run("gc", "--json").json["removed"]


def test_dump_and_load(run: Run, store: shoal.Store, tmp_path: Path, name: str) -> None:
    file = tmp_path / "snapshot"
    store.update(a=1, b=[1, 2])
    store.namespace("users")["c"] = 3
    assert run("dump", store.url, file).out == "2 entries\n"
    store["a"] = 5
    store["d"] = 6
    assert run("load", store.url, file, "--json").json == {"entries": 2, "file": str(file)}
    assert dict(store) == {"a": 1, "b": [1, 2], "d": 6}
    assert run("load", store.url, file, "--replace").code == 0
    assert dict(store) == {"a": 1, "b": [1, 2]}
    assert run("dump", store.url, file, "--all").out == "3 entries\n"
    if not store.url.startswith("memory"):
        shoal.destroy(name)
        assert run("load", name, file).err.startswith("shoal: created ")
        with shoal.open(name, "r", namespace="users") as users:
            assert dict(users) == {"c": 3}


def test_load_of_a_damaged_file_makes_no_entry(run: Run, store: shoal.Store, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"not a snapshot")
    assert run("load", store.url, tmp_path / "damaged").code == 3
    assert run("load", store.url, tmp_path / "absent").code == 3
    assert len(store) == 0


# ------------------------------------------------ doctor


def test_doctor_of_a_healthy_store(run: Run, name: str) -> None:
    with shoal.open(name, size="8MiB") as store:
        store.update({f"key {i}": "x" * i for i in range(1000)})
        result = run("doctor", name, "--json")
        assert result.code == 0
        assert result.json["healthy"] is True
        texts = [finding["text"] for finding in result.json["findings"] if finding["about"] == name]
        assert any(text.startswith("every invariant holds (entries: 1000,") for text in texts)
        lines = run("doctor", name).out.splitlines()
    assert all(line.split()[0] in {"ok", "note", "warning", "problem"} for line in lines)


def test_doctor_of_the_machine(run: Run, name: str) -> None:
    with shoal.open(name, size="4MiB"):
        findings = run("doctor", "--json").json["findings"]
    about = {finding["about"] for finding in findings}
    assert {"python", "shoal", "processes", "/dev/shm", name} <= about


def test_doctor_has_nothing_to_say_of_a_store_that_goes_meanwhile(name: str) -> None:
    with shoal.open(name, size="4MiB"):
        listed = [info for info in shoal.list_arenas() if info.name == name]
        assert [finding.level for finding in stores(listed)] == ["ok", "ok"]
    assert stores(listed) == []


def test_doctor_of_a_foreign_segment(run: Run, name: str) -> None:
    path = Path(f"/dev/shm/shoal.{name}")
    path.write_bytes(b"\xff" * 100_000)
    try:
        result = run("doctor", name, "--json")
        assert result.code == 1
        assert result.json["healthy"] is False
        assert "problem" in [finding["level"] for finding in result.json["findings"]]
    finally:
        path.unlink(missing_ok=True)


def test_doctor_names_what_was_left_behind(run: Run, name: str) -> None:
    program = f"import os, signal, shoal; s = shoal.open({name!r}); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", program], check=False)
    result = run("doctor", name, "--json")
    assert result.code == 0
    assert [f["level"] for f in result.json["findings"] if "shoal gc" in f["text"]] == ["warning"]
    assert run("gc").code == 0


# ------------------------------------------------ the command as a whole


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["get"], ["keys", "a", "b", "c"], ["get", "", "key"], ["get", "a/b", "key"]]
)
def test_wrong_usage_is_code_2(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Traceback" not in result.err


def test_an_unknown_scheme_is_wrong_usage(run: Run) -> None:
    result = run("get", "carrier-pigeon://coop", "key")
    assert result.code == 2
    assert "unknown scheme" in result.err


def test_every_command_explains_itself(run: Run) -> None:
    overview = run("--help").out
    for name in ("ls", "keys", "get", "set", "del", "ttl", "stat", "doctor", "dump", "load", "gc", "rm", "demo"):
        assert f"    {name} " in overview
        result = run(name, "--help")
        assert result.code == 0
        assert "--json" in result.out
    assert run("--version").out == f"shoal {shoal.__version__}\n"


def test_a_reader_that_leaves_is_no_error(name: str) -> None:
    with shoal.open(name) as store:
        store.update({f"key {i:06}": i for i in range(20_000)})
        process = subprocess.Popen(command("keys", name), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"key 000000\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(60) == 141


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(name: str, closing: str) -> None:
    with shoal.open(name) as store:
        store["key"] = 1
        program = f'exec "$@" {closing}'
        done = subprocess.run(
            ["sh", "-c", program, "sh", *command("set", name, "key", "2", "--json")], capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert store["key"] == 2


def test_interrupting_is_code_130_without_a_traceback(name: str) -> None:
    with shoal.open(name):
        process = subprocess.Popen(
            command("set", name, "key", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(b"x" * 1_000_000)  # more than a pipe holds: when this is through, somebody reads
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b""


def test_a_terminal_of_few_letters_gets_escapes(name: str) -> None:
    made = in_shell("set", name, "key", "1", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert made.code == 0
    assert in_shell("set", name, "ключ", "2").code == 0
    listed = in_shell("keys", name, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert listed == (0, "key\n\\u043a\\u043b\\u044e\\u0447\n", "")


# ------------------------------------------------ words and numbers


def test_sizes_and_ages_read_well() -> None:
    assert [human_size(n) for n in (0, 1023, 1024, 1536, 200 << 20, 3 << 30, 5 << 40)] == [
        *("0 B", "1023 B", "1.0 KiB", "1.5 KiB", "200 MiB", "3.0 GiB", "5.0 TiB")
    ]
    assert [human_age(s) for s in (None, 0.25, 59, 90, 7260, 90_000)] == [
        *("never", "0.25 s", "59 s", "1 min 30 s", "2 h 1 min", "1 d 1 h")
    ]


def test_control_characters_are_shown_not_obeyed() -> None:
    assert printable("schön ✓") == "schön ✓"
    assert printable("a\tb\u202ec") == "a\\tb\\u202ec"


def test_values_on_the_command_line() -> None:
    assert parse_value("[" * 100_000) == "[" * 100_000
    assert parse_value("1e5") == 1e5


def test_every_value_has_its_nearest_json() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    assert jsonable({"odd": Odd(), "complex": np.array([1j]), "set": frozenset({2, 1})}) == {
        "odd": "<odd>",
        "complex": ["1j"],
        "set": [1, 2],
    }
