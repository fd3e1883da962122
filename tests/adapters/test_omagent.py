"""`SharedMemSTM` as OmAgent's workers use it: each member of its interface, with the rules that its own has."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shoal

pytest.importorskip("omagent_core", reason="OmAgent is not installed (pip install omagent-core, for Python 3.11)")

from omagent_core.memories.stms.stm_base import STMBase
from omagent_core.memories.stms.stm_sharedMem import SharedMemSTM as Theirs

from shoal.adapters.omagent import SharedMemSTM, WorkflowInstanceProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Backend  # type: ignore[import-not-found]


@pytest.fixture
def stm(backend: Backend) -> Iterator[SharedMemSTM]:
    made = SharedMemSTM(url=backend.open())
    yield made
    made.close()


@pytest.fixture
def workflow(stm: SharedMemSTM) -> Any:
    return stm("test_workflow")


class Point:
    """A value of a class of somebody's own."""

    def __init__(self, x: int) -> None:
        self.x = x


# ---------------------------------------------------------------------- a workflow as a mapping


def test_what_is_set_is_there(workflow: Any) -> None:
    workflow["key1"] = "value1"
    workflow["key2"] = {"nested": {"value": [2]}}
    assert workflow["key1"] == "value1"
    assert workflow["key2"] == {"nested": {"value": [2]}}
    assert "key1" in workflow
    assert "key3" not in workflow


def test_keys_values_and_items_are_lists_in_the_order_of_writing(workflow: Any) -> None:
    for key in ("zebra", "apple", "mango"):
        workflow[key] = key.upper()
    workflow["zebra"] = "again"  # as in a dict, it keeps its place
    assert workflow.keys() == ["zebra", "apple", "mango"]
    assert workflow.values() == ["again", "APPLE", "MANGO"]
    assert workflow.items() == [("zebra", "again"), ("apple", "APPLE"), ("mango", "MANGO")]
    del workflow["zebra"]
    workflow["zebra"] = "new"
    assert workflow.keys() == ["apple", "mango", "zebra"]


def test_len_and_truth(stm: SharedMemSTM, workflow: Any) -> None:
    assert (len(workflow), bool(workflow)) == (0, False)
    workflow["key"] = 1
    assert (len(workflow), bool(workflow)) == (1, True)
    assert stm  # as it takes an id to have a length
    with pytest.raises(TypeError):
        len(stm)


def test_pop_returns_and_removes(workflow: Any) -> None:
    workflow["key1"] = "value1"
    assert workflow.pop("key1") == "value1"
    assert "key1" not in workflow
    assert workflow.keys() == []
    assert workflow.pop("key1") is None
    assert workflow.pop("key1", "default") == "default"
    workflow["key1"] = None
    assert workflow.pop("key1", "default") is None
    workflow["key1"] = "back"
    assert workflow["key1"] == "back"


def test_update_merges(workflow: Any) -> None:
    workflow["key1"] = "value1"
    workflow.update({"key1": "other", "key3": {"a": 1}, 4: "four"})
    assert dict(workflow.items()) == {"key1": "other", "key3": {"a": 1}, 4: "four"}


def test_clear_empties_and_twice_is_quiet(stm: SharedMemSTM, workflow: Any) -> None:
    workflow["key"] = 1
    workflow.clear()
    assert len(workflow) == 0
    workflow.clear()
    assert stm.store.memory().get_field_names() == []
    workflow["key"] = 2
    assert workflow["key"] == 2


def test_a_value_is_a_copy_until_it_is_written_back(workflow: Any) -> None:
    workflow["image_cache"] = {}
    workflow["image_cache"]["image0"] = "lost"
    assert workflow["image_cache"] == {}
    image_cache = workflow["image_cache"]
    image_cache["image0"] = "kept"
    workflow["image_cache"] = image_cache
    assert workflow["image_cache"] == {"image0": "kept"}


def test_what_is_missing(workflow: Any) -> None:
    with pytest.raises(KeyError) as caught:
        workflow["nothing"]
    assert caught.value.args == ("nothing",)
    with pytest.raises(KeyError) as caught:
        del workflow["nothing"]
    assert caught.value.args == ("nothing",)
    assert workflow.get("nothing") is None
    assert workflow.get("nothing", 5) == 5
    workflow["none"] = None
    assert workflow.get("none", 5) is None
    assert "none" in workflow


def test_a_shorter_value_over_a_longer_one(workflow: Any) -> None:
    workflow["key"] = "x" * 100_000
    workflow["key"] = "y"
    assert workflow.items() == [("key", "y")]


def test_modify_writes_back_what_it_was_given(workflow: Any) -> None:
    assert workflow.modify("log", lambda log: [*log, "first"], []) == ["first"]
    assert workflow.modify("log", lambda log: [*log, "second"]) == ["first", "second"]
    assert workflow["log"] == ["first", "second"]
    with pytest.raises(KeyError) as caught:
        workflow.modify("nothing", str)
    assert caught.value.args == ("nothing",)


class Meddler:
    """A value that is read as "old", and whose first reader finds that somebody has written meanwhile."""

    workflow: Any = None

    def __reduce__(self) -> Any:
        return meddle, ()


def meddle() -> str:
    workflow, Meddler.workflow = Meddler.workflow, None
    if workflow is not None:
        workflow["key"] = "newer"
    return "old"


def test_pop_takes_what_is_there_at_that_moment(workflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meddle, "__module__", "shoal")  # of a module that can be imported by its name
    monkeypatch.setattr(shoal, "meddle", meddle, raising=False)
    workflow["key"] = Meddler()
    monkeypatch.setattr(Meddler, "workflow", workflow)
    assert workflow.pop("key") == "newer"
    assert "key" not in workflow


# ---------------------------------------------------------------------- the members of STMBase


def test_it_is_a_component(stm: SharedMemSTM) -> None:
    assert isinstance(stm, STMBase)
    assert isinstance(stm("wf"), WorkflowInstanceProxy)
    assert stm("wf").workflow_instance_id == "wf"
    assert stm("wf").stm is stm
    assert (stm.name, stm.id) == ("SharedMemSTM", None)
    assert SharedMemSTM.__abstractmethods__ == frozenset()
    assert len(STMBase.__abstractmethods__) == 13


@pytest.mark.parametrize("name", sorted(STMBase.__abstractmethods__))
def test_each_member_takes_what_omagents_takes(name: str) -> None:
    """The same parameters in the same order with the same defaults; more only with defaults."""
    theirs, ours = (list(inspect.signature(getattr(cls, name)).parameters.values()) for cls in (Theirs, SharedMemSTM))
    assert [one.name for one in ours[: len(theirs)]] == [one.name for one in theirs]
    for one, other in zip(ours, theirs, strict=False):
        assert one.default == other.default or other.default is inspect.Parameter.empty
    assert all(one.default is not inspect.Parameter.empty for one in ours[len(theirs) :])


def test_with_ids_in_place_of_a_proxy(stm: SharedMemSTM) -> None:
    stm["wf", "a"] = 1
    stm.update("wf", {"b": 2})
    assert stm["wf", "a"] == 1
    assert stm["wf"] == {"a": 1, "b": 2}
    assert stm["unknown"] == {}
    assert stm.keys("unknown") == stm.values("unknown") == stm.items("unknown") == []
    assert (stm.__len__("wf"), stm.__len__("unknown")) == (2, 0)
    assert ("wf", "a") in stm
    assert ("unknown", "a") not in stm
    assert stm.get("wf", "c", 3) == 3
    stm.__delitem__("wf", "a")
    del stm["wf", "b"]
    assert stm.pop("wf", "a", "gone") == "gone"
    assert stm["wf"] == {}


def test_what_is_no_pair(stm: SharedMemSTM) -> None:
    with pytest.raises(ValueError, match="not a pair"):
        "workflow" in stm  # noqa: B015 - it raises
    with pytest.raises(ValueError, match="not a pair"):
        stm["workflow"] = 1


def test_reading_makes_nothing(stm: SharedMemSTM) -> None:
    assert stm["unknown"] == {}
    assert stm("unknown").get("key") is None
    assert "key" not in stm("unknown")
    stm("unknown").pop("key")
    stm("unknown").clear()
    assert stm.store.memory().get_field_names() == []


# ---------------------------------------------------------------------- ids, keys and values


def test_instances_are_apart(stm: SharedMemSTM) -> None:
    ids = ["25302", "82945", 25302, "a.b", "a", "a\\", "wf|agent|conversation|chat", ("a", 1), "x" * 1000]
    for number, workflow_instance_id in enumerate(ids):
        stm(workflow_instance_id)["key"] = number
    assert [stm(workflow_instance_id)["key"] for workflow_instance_id in ids] == list(range(len(ids)))
    stm("a").clear()
    assert "key" not in stm("a")
    assert stm("a.b")["key"] == ids.index("a.b")


def test_falsy_ids_are_the_workflow_of_lite_mode(stm: SharedMemSTM) -> None:
    stm(None)["key"] = "lite"
    assert [stm(falsy)["key"] for falsy in (None, "", 0)] == ["lite"] * 3
    stm("").clear()
    assert len(stm(None)) == 0


def test_keys_of_any_kind(workflow: Any) -> None:
    keys = ["a", "", "a.b", "\0", 5, "5", 2.5, None, ("a", 1), b"a", frozenset({1})]
    for number, key in enumerate(keys):
        workflow[key] = number
    assert workflow.keys() == keys
    assert [workflow[key] for key in keys] == list(range(len(keys)))
    del workflow[5]
    assert 5 not in workflow
    assert "5" in workflow
    with pytest.raises(TypeError, match="unhashable"):
        workflow[["list"]] = 1


def test_any_value_that_can_be_pickled(workflow: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    workflow["endless"] = endless
    back = workflow["endless"]
    assert back[0] is back
    workflow["array"] = np.arange(6).reshape(2, 3)
    workflow["array"] += 1
    assert workflow["array"].tolist() == [[1, 2, 3], [4, 5, 6]]
    values = [{1, 2}, (1, "a"), 2**100, b"bytes", ValueError("x"), {("a", 1): [None]}, float("inf"), int, ..., "\ud800"]
    for number, value in enumerate(values):
        workflow[number] = value
        assert repr(workflow[number]) == repr(value)


def test_objects_that_know_each_other_come_back_together_at_their_size(workflow: Any, stm: SharedMemSTM) -> None:
    parent = Point(0)
    parent.children = [Point(number) for number in range(200)]  # type: ignore[attr-defined]
    for child in parent.children:  # type: ignore[attr-defined]
        child.parent = parent
    value = {"root": parent, "all": [parent, *parent.children]}  # type: ignore[attr-defined]
    for write in (lambda: workflow.__setitem__("tree", value), lambda: workflow.modify("tree", lambda _: value, None)):
        workflow.clear()
        write()
        back = workflow["tree"]
        assert back["all"][0] is back["root"] is back["root"].children[-1].parent
        assert stm.store.memory("test_workflow").metadata("tree").size < 2 * len(pickle.dumps(value))


def test_modify_takes_what_can_be_pickled(workflow: Any) -> None:
    workflow["key"] = 1
    itself: list[Any] = []
    itself.append(itself)
    assert workflow.modify("key", lambda _: itself) is itself
    assert workflow["key"][0] is not itself
    with pytest.raises((pickle.PicklingError, AttributeError)):
        workflow.modify("key", lambda _: lambda: None)
    assert workflow.modify("key", len) == 1


def test_a_value_of_a_class_of_its_own(workflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Point, "__module__", "shoal")  # of a module that can be imported by its name
    monkeypatch.setattr(shoal, "Point", Point, raising=False)
    workflow["point"] = Point(3)
    assert workflow["point"].x == 3


@pytest.mark.parametrize(
    "value", [lambda: 1, (number for number in ()), open], ids=["function", "generator", "builtin"]
)
def test_what_cannot_be_pickled_raises_as_pickle_does(workflow: Any, value: Any) -> None:
    workflow["key"] = "stays"
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        with pytest.raises(type(error)):
            workflow["key"] = value
        assert workflow["key"] == "stays"
    else:
        workflow["key"] = value
        assert workflow["key"] is value


def test_more_than_100_mib() -> None:
    stm = SharedMemSTM(url="shm://?size=300MiB")
    stm["wf", "large"] = bytes(101 << 20)
    assert len(stm["wf", "large"]) == 101 << 20
    stm.close()


def test_a_full_store_says_what_to_do(backend: Backend) -> None:
    if backend.kind == "memory":
        pytest.skip("memory:// has no limit")
    workflow = SharedMemSTM(url=backend.open(size="16MiB"))("wf")
    workflow["key"] = "before"
    with pytest.raises(shoal.CapacityExceeded):
        workflow["key"] = b"x" * (32 << 20)
    assert workflow["key"] == "before"


# ---------------------------------------------------------------------- how long it lasts


def test_a_workflow_goes_after_its_ttl(backend: Backend) -> None:
    store = backend.open()
    stm = SharedMemSTM(url=store, ttl=0.05)
    memory = stm.store.memory()
    stm("wf")["a"] = 1
    stm("wf")["b"] = 2
    backend.outlive(memory, "wf")
    assert stm["wf"] == {}
    assert memory.get_field_names() == []
    stm("wf")["a"] = 3
    assert stm["wf"] == {"a": 3}


def test_a_write_gives_the_whole_workflow_its_time_again(backend: Backend) -> None:
    store = backend.open()
    SharedMemSTM(url=store, ttl=100)("wf")["a"] = 1
    stm = SharedMemSTM(url=store, ttl=1000)
    assert stm.store.memory().ttl("wf") < 101
    stm("wf")["b"] = 1
    assert stm.store.memory().ttl("wf") > 900
    assert stm["wf"] == {"a": 1, "b": 1}
    stm("wf").modify("a", lambda value: value + 1)
    stm("wf").pop("b")
    assert stm.store.memory().ttl("wf") > 900


def test_without_a_ttl_it_stays(backend: Backend) -> None:
    stm = SharedMemSTM(url=backend.open())
    stm("wf")["a"] = 1
    assert stm.store.memory().ttl("wf") is None


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_ttl_that_is_none(ttl: float) -> None:
    with pytest.raises(shoal.InvalidValue, match="ttl"):
        SharedMemSTM(ttl=ttl)


def test_cleanup_removes_all_workflows(stm: SharedMemSTM) -> None:
    stm("a")["key"] = stm("b")["key"] = 1
    stm.cleanup()
    assert (stm["a"], stm["b"]) == ({}, {})


# ---------------------------------------------------------------------- whose memory it is


def test_stms_of_one_store_share(backend: Backend) -> None:
    SharedMemSTM(url=backend.open())("wf")["key"] = 1
    assert SharedMemSTM(url=backend.url())("wf")["key"] == 1
    assert SharedMemSTM(url=backend.open("other"))["wf"] == {}


def test_stms_without_a_url_share_within_the_program(own_store: shoal.Store) -> None:
    one, other = SharedMemSTM(), SharedMemSTM()
    one("shared")["key"] = 1
    assert other("shared")["key"] == 1
    assert other("shared").pop("key") == 1


def test_others_in_the_store_stay_as_they_are(backend: Backend) -> None:
    store = backend.open()
    store["wf"] = "a key"
    store.memory().set("wf.key", "a field")
    stm = SharedMemSTM(url=store)
    stm("wf")["key"] = 1
    stm.cleanup()
    assert store["wf"] == "a key"
    assert store.memory()["wf.key"] == "a field"


def test_the_namespace_of_a_url_is_kept(backend: Backend) -> None:
    store = backend.open()
    SharedMemSTM(url=backend.url() + "?namespace=mine")("wf")["key"] = 1
    assert backend.namespace(store, "mine").memory()["wf.key"] == 1
    SharedMemSTM(url=store)("wf")["key"] = 2
    assert backend.namespace(store, "omagent").memory()["wf.key"] == 2


def test_a_copy_is_a_handle_on_the_same_memory(stm: SharedMemSTM, backend: Backend) -> None:
    stm("wf")["key"] = 1
    assert copy.deepcopy({"stm": stm})["stm"]("wf")["key"] == 1
    if backend.kind == "arena":
        arrived = pickle.loads(pickle.dumps(stm))
        assert arrived("wf")["key"] == 1
        assert (arrived.url, arrived.ttl, arrived.name) == (stm.url, stm.ttl, stm.name)
        arrived.close()
