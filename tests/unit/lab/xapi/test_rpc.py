# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls: the wire, and everything that is refused before anything is done."""

from __future__ import annotations

import json
import threading
import time
import typing as t
import xmlrpc.client

import pytest
from lab.xapi import tasks
from lab.xapi.ports import ImportFault, Reset, XapiError
from lab.xapi.values import JSON, XML, give, result_text, take
from lab.xapi.schema import parse_type

from ansible_collections.bootable.volumes.tests.unit.lab.xapi.inside import MIB, Inside


def xml(inside: Inside, method: str, *params: t.Any, host: t.Optional[str] = None) -> t.Dict[str, t.Any]:
    """The answer to a call over XML-RPC."""
    answer = inside.pool.xmlrpc(host or inside.pool.master, xmlrpc.client.dumps(params, method).encode())
    return t.cast("t.Dict[str, t.Any]", xmlrpc.client.loads(answer)[0][0])


def failure(inside: Inside, method: str, *params: t.Any, host: t.Optional[str] = None) -> t.List[str]:
    """How a call over XML-RPC fails."""
    answer = xml(inside, method, *params, host=host)
    assert answer["Status"] == "Failure", answer
    return t.cast("t.List[str]", answer["ErrorDescription"])


# --- the wire ---


def test_xml_carries_ints_as_text(inside: Inside) -> None:
    vdi = inside.disk()
    assert xml(inside, "VDI.get_virtual_size", inside.session, vdi) == {"Status": "Success", "Value": str(8 * MIB)}
    record = xml(inside, "VDI.get_record", inside.session, vdi)["Value"]
    assert record["virtual_size"] == str(8 * MIB) and record["managed"] is True and record["snapshot_time"] == "19700101T00:00:00Z"


def test_nothing_is_an_empty_text(inside: Inside) -> None:
    assert xml(inside, "VDI.set_name_label", inside.session, inside.disk(), "x") == {"Status": "Success", "Value": ""}


def test_json_2(inside: Inside) -> None:
    def ask(method: str, *params: t.Any) -> t.Any:
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return json.loads(inside.pool.jsonrpc(inside.pool.master, json.dumps(request).encode()))

    vdi = inside.disk()
    assert ask("VDI.get_virtual_size", inside.session, vdi) == {"jsonrpc": "2.0", "id": 7, "result": 8 * MIB}
    assert ask("VDI.get_virtual_size", inside.session, "x") == {
        "jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "HANDLE_INVALID", "data": ["VDI", "x"]}}


def test_json_1(inside: Inside) -> None:
    request = {"id": 1, "method": "session.login_with_password", "params": ["root", "xenroot"]}
    answer = json.loads(inside.pool.jsonrpc(inside.pool.master, json.dumps(request).encode()))
    assert answer["error"] is None and answer["result"]["Status"] == "Success" and answer["result"]["Value"].startswith("OpaqueRef:")


@pytest.mark.parametrize("body", [b"", b"<html/>", b"<methodCall>", b"\xff\xfe", b"<?xml version='1.0'?><methodResponse/>"])
def test_what_is_no_xml_rpc(inside: Inside, body: bytes) -> None:
    with pytest.raises(ValueError):
        inside.pool.xmlrpc(inside.pool.master, body)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"method": "VM.get_all"}', b'{"method": 1, "params": []}'])
def test_what_is_no_json_rpc(inside: Inside, body: bytes) -> None:
    with pytest.raises(ValueError):
        inside.pool.jsonrpc(inside.pool.master, body)


@pytest.mark.parametrize("kind, value, wire, found", [
    ("int", "12", XML, 12),
    ("int", "-1", XML, -1),
    ("int", 12, JSON, 12),
    ("float", 1.5, XML, 1.5),
    ("float", 2, XML, 2.0),
    ("bool", False, XML, False),
    ("enum vbd_mode", "rw", XML, "RW"),
    ("enum vdi_type", "USER", XML, "user"),
    ("string set", ["a"], XML, ["a"]),
    ("(int -> int) map", {"1": "2"}, XML, {1: 2}),
    ("map", {}, XML, {}),
    ("datetime", xmlrpc.client.DateTime("20260101T00:00:00Z"), XML, "20260101T00:00:00Z"),
])
def test_values_that_are_taken(kind: str, value: t.Any, wire: str, found: t.Any) -> None:
    assert take(parse_type(kind), value, "x", wire) == found


@pytest.mark.parametrize("kind, value, wire", [
    ("int", 12, XML),
    ("int", "1.0", XML),
    ("int", "", XML),
    ("int", True, JSON),
    ("float", "1.5", XML),
    ("bool", "true", XML),
    ("bool", 1, XML),
    ("string", 1, XML),
    ("VM ref", 1, XML),
    ("enum vbd_mode", "WO", XML),
    ("string set", "a", XML),
    ("map", ["a"], XML),
    ("map", {"a": 1}, XML),
    ("datetime", "yesterday", XML),
    ("VM record", [], XML),
])
def test_values_of_another_type(kind: str, value: t.Any, wire: str) -> None:
    with pytest.raises(XapiError) as caught:
        take(parse_type(kind), value, "x", wire)
    assert caught.value.description == ["FIELD_TYPE_ERROR", "x"]


def test_values_that_are_given() -> None:
    assert give(parse_type("(int -> int) map"), {1: 2}, XML) == {"1": "2"}
    assert give(parse_type("void"), None, JSON) == ""
    assert isinstance(give(parse_type("datetime"), "20260101T00:00:00Z", XML), xmlrpc.client.DateTime)


@pytest.mark.parametrize("kind, value, text", [
    ("void", None, ""),
    ("VM ref", "OpaqueRef:1", "<value>OpaqueRef:1</value>"),
    ("VM ref set", ["a", "b"], "<value><array><data><value>a</value><value>b</value></data></array></value>"),
])
def test_what_a_task_says_of_its_result(kind: str, value: t.Any, text: str) -> None:
    assert result_text(parse_type(kind), value) == text


# --- refused ---


@pytest.mark.parametrize("method", ["VM.explode", "VMM.get_all", "get_all", "", "Async.VM.get_all", "Async.VM.set_name_label", "Async.task.create"])
def test_unknown_methods(inside: Inside, method: str) -> None:
    assert inside.failure(method) == ["MESSAGE_METHOD_UNKNOWN", method]


def test_removed_methods(inside: Inside) -> None:
    assert inside.failure("VM.snapshot_with_quiesce") == ["MESSAGE_REMOVED"]
    assert inside.failure("VBD.get_metrics") == ["MESSAGE_REMOVED"]


@pytest.mark.parametrize("method, params, expected, received", [
    ("VM.start", ["OpaqueRef:1"], "3", "1"),
    ("VM.start", ["OpaqueRef:1", False, False, False], "3", "4"),
    ("VM.get_all", ["x"], "0", "1"),
    ("VDI.copy", [], "1", "0"),
    ("VDI.copy", ["a", "b", "c", "d", "e"], "4", "5"),
])
def test_the_number_of_parameters(inside: Inside, method: str, params: t.List[t.Any], expected: str, received: str) -> None:
    assert inside.failure(method, *params) == ["MESSAGE_PARAMETER_COUNT_MISMATCH", method, expected, received]


def test_parameters_that_may_be_left_out(inside: Inside) -> None:
    vdi = inside.disk()
    assert inside.call("VDI.copy", vdi) != inside.call("VDI.copy", vdi, inside.sr("local"))


def test_a_call_without_a_session_has_one_parameter_too_few(inside: Inside) -> None:
    assert failure(inside, "VM.get_all") == ["SESSION_INVALID", ""]


def test_the_type_of_a_parameter(inside: Inside) -> None:
    assert failure(inside, "VDI.resize", inside.session, inside.disk(), 1 << 24) == ["FIELD_TYPE_ERROR", "size"]
    assert failure(inside, "VM.start", inside.session, inside.machine(), "false", False) == ["FIELD_TYPE_ERROR", "start_paused"]


def test_sessions(inside: Inside) -> None:
    with pytest.raises(XapiError) as caught:
        inside.login("root", "wrong")
    assert caught.value.description == ["SESSION_AUTHENTICATION_FAILED", "root", "Authentication failure"]
    inside.call("session.logout")
    assert inside.failure("VM.get_all") == ["SESSION_INVALID", inside.session]


def test_a_wrong_password_takes_time(inside: Inside) -> None:
    inside.pool.faults.login_delay = 0.05
    began = time.monotonic()
    assert failure(inside, "session.login_with_password", "root", "wrong")[0] == "SESSION_AUTHENTICATION_FAILED"
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("user, password, allowed, refused", [
    ("reader", "reader", ["VM.get_all", "task.create"], ["VM.start", "VDI.create", "VM.set_tags"]),
    ("operator", "operator", ["VM.start", "VM.set_tags"], ["VDI.create", "VM.snapshot", "SR.scan"]),
])
def test_roles(inside: Inside, user: str, password: str, allowed: t.List[str], refused: t.List[str]) -> None:
    vm = inside.machine()
    params = {"VM.start": [vm, False, False], "VM.set_tags": [vm, []], "VM.snapshot": [vm, "x"], "SR.scan": [inside.sr()], "task.create": ["", ""]}
    record = {"SR": inside.sr(), "virtual_size": 1, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    inside.session = inside.login(user, password)
    for method in allowed:
        inside.call(method, *params.get(method, []))
    for method in refused:
        found = inside.failure(method, *params.get(method, [record]))
        assert found == ["RBAC_PERMISSION_DENIED", method.lower(), "No permission in user session"]


def test_a_slave_names_the_master(inside: Inside) -> None:
    inside.pool.set_address(inside.pool.master, "127.0.0.1:4321")
    for method, params in (("session.login_with_password", ["root", "xenroot"]), ("VM.get_all", [inside.session]), ("nonsense", [])):
        assert failure(inside, method, *params, host=inside.world.slave) == ["HOST_IS_SLAVE", "127.0.0.1:4321"]


def test_another_master(inside: Inside) -> None:
    inside.pool.set_address(inside.world.slave, "127.0.0.1:4322")
    assert inside.pool.faults.change_master() == inside.world.slave
    assert failure(inside, "VM.get_all", inside.session, host=inside.world.master) == ["HOST_IS_SLAVE", "127.0.0.1:4322"]
    assert inside.failure("VM.get_all") == ["SESSION_INVALID", inside.session]
    inside.session = inside.login("root", "xenroot")
    pool = inside.call("pool.get_all_records")
    assert [record["master"] for record in pool.values()] == [inside.call("host.get_by_uuid", inside.world.slave)]


# --- generic messages ---


def test_handles_and_uuids(inside: Inside) -> None:
    assert inside.failure("VDI.get_record", "OpaqueRef:1") == ["HANDLE_INVALID", "VDI", "OpaqueRef:1"]
    assert inside.failure("VDI.get_record", "OpaqueRef:NULL") == ["HANDLE_INVALID", "VDI", "OpaqueRef:NULL"]
    assert inside.failure("VDI.get_by_uuid", "1") == ["UUID_INVALID", "VDI", "1"]
    assert inside.failure("VDI.get_by_uuid", "") == ["UUID_INVALID", "VDI", ""]
    vdi = inside.disk()
    assert inside.call("VDI.get_by_uuid", inside.call("VDI.get_uuid", vdi)) == vdi
    assert inside.failure("VM.set_affinity", inside.machine(), "OpaqueRef:1") == ["HANDLE_INVALID", "host", "OpaqueRef:1"]


def test_names_need_not_be_unique(inside: Inside) -> None:
    twins = {inside.disk(name_label="twin"), inside.disk(name_label="twin")}
    assert set(inside.call("VDI.get_by_name_label", "twin")) == twins
    assert inside.call("VDI.get_by_name_label", "nobody") == []


def test_maps(inside: Inside) -> None:
    vdi = inside.disk()
    inside.call("VDI.add_to_other_config", vdi, "key", "one")
    uuid = inside.call("VDI.get_uuid", vdi)
    assert inside.failure("VDI.add_to_other_config", vdi, "key", "two") == ["MAP_DUPLICATE_KEY", "VDI", "other_config", uuid, "key"]
    inside.call("VDI.remove_from_other_config", vdi, "nothing")
    inside.call("VDI.remove_from_other_config", vdi, "key")
    inside.call("VDI.add_to_other_config", vdi, "key", "two")
    assert inside.call("VDI.get_other_config", vdi) == {"key": "two"}


def test_sets(inside: Inside) -> None:
    vdi = inside.disk()
    for method, value, found in (("add", "a", ["a"]), ("add", "a", ["a"]), ("add", "b", ["a", "b"]), ("remove", "a", ["b"]), ("remove", "a", ["b"])):
        inside.call(f"VDI.{method}_tags", vdi, value)
        assert inside.call("VDI.get_tags", vdi) == found


@pytest.mark.parametrize("field", ["uuid", "virtual_size", "managed", "SR", "is_a_snapshot"])
def test_fields_that_nobody_sets(inside: Inside, field: str) -> None:
    assert inside.failure("VDI.set_" + field, inside.disk(), "x") == ["MESSAGE_METHOD_UNKNOWN", "VDI.set_" + field]


def test_constructors(inside: Inside) -> None:
    record = {"SR": inside.sr(), "virtual_size": "5", "type": "User", "sharable": False, "read_only": False, "other_config": {}}
    for key in record:
        rest = {name: value for name, value in record.items() if name != key}
        assert failure(inside, "VDI.create", inside.session, rest) == ["INTERNAL_ERROR", f'Server_helpers.Dispatcher_FieldNotFound("{key}")']
    assert failure(inside, "VDI.create", inside.session, {**record, "type": "sofa"}) == ["FIELD_TYPE_ERROR", "type"]
    answer = xml(inside, "VDI.create", inside.session, {**record, "colour": "red", "uuid": "mine", "managed": False})
    found = inside.call("VDI.get_record", answer["Value"])
    assert found["type"] == "user" and found["uuid"] != "mine" and found["managed"]


# --- in the background ---


def test_a_task_tells_its_result(inside: Inside) -> None:
    vdi = inside.disk()
    record = inside.ended(inside.call("Async.VDI.clone", vdi))
    assert (record["status"], record["progress"], record["error_info"]) == ("success", 1.0, [])
    assert record["name_label"] == "Async.VDI.clone"
    clone = record["result"][len("<value>"):-len("</value>")]
    assert inside.call("VDI.get_record", clone)["managed"]
    assert inside.ended(inside.call("Async.VDI.destroy", clone))["result"] == ""


def test_a_task_tells_its_failure(inside: Inside) -> None:
    vm = inside.machine()
    record = inside.ended(inside.call("Async.VM.clean_shutdown", vm))
    assert (record["status"], record["error_info"]) == ("failure", ["VM_BAD_POWER_STATE", vm, "running", "halted"])


def test_what_is_refused_at_once_has_no_task(inside: Inside) -> None:
    before = inside.call("task.get_all")
    assert inside.failure("Async.VDI.destroy", "OpaqueRef:1") == ["HANDLE_INVALID", "VDI", "OpaqueRef:1"]
    assert inside.failure("Async.VDI.destroy") == ["MESSAGE_PARAMETER_COUNT_MISMATCH", "Async.VDI.destroy", "1", "0"]
    assert inside.call("task.get_all") == before


def test_a_task_is_cancelled(inside: Inside) -> None:
    inside.pool.faults.background_delay = 0.2
    vdi = inside.disk()
    task = inside.call("Async.VDI.destroy", vdi)
    inside.call("task.cancel", task)
    assert inside.call("task.get_status", task) == "cancelling"
    record = inside.ended(task)
    assert (record["status"], record["error_info"]) == ("cancelled", ["TASK_CANCELLED", task])
    assert inside.failure("task.cancel", task)[0] == "OPERATION_NOT_ALLOWED"
    inside.call("VDI.get_record", vdi)


def test_a_task_of_the_callers_own(inside: Inside) -> None:
    task = inside.call("task.create", "label", "description")
    record = inside.call("task.get_record", task)
    assert (record["status"], record["name_label"], record["name_description"]) == ("pending", "label", "description")
    inside.call("task.set_progress", task, 0.5)
    inside.call("task.set_status", task, "Success")
    assert inside.call("task.get_status", task) == "success"
    inside.call("task.destroy", task)
    assert inside.failure("task.get_record", task) == ["HANDLE_INVALID", "task", task]


def test_a_task_that_is_destroyed_while_it_runs_goes_when_it_ends(inside: Inside) -> None:
    inside.pool.faults.background_delay = 0.2
    task = inside.call("Async.VDI.destroy", inside.disk())
    inside.call("task.destroy", task)
    assert inside.call("task.get_status", task) == "pending"
    token = inside.call("event.from", ["task"], "", 0.0)["token"]
    events = inside.call("event.from", ["task/" + task], token, 10.0)["events"]
    assert [event["operation"] for event in events] == ["del"]


def test_old_tasks_are_collected(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    task = inside.call("Async.VDI.destroy", inside.disk())
    inside.ended(task)
    monkeypatch.setattr(tasks, "KEPT", -1.0)
    assert inside.failure("task.get_record", task) == ["HANDLE_INVALID", "task", task]


# --- events ---


def test_events(inside: Inside) -> None:
    first = inside.call("event.from", ["VDI"], "", 0.0)
    assert {event["operation"] for event in first["events"]} == {"add"} and first["valid_ref_counts"]["sr"] == 4
    assert len(first["token"]) == 41 and first["token"].endswith(",%020d" % 0)
    vdi = inside.disk()
    inside.call("VDI.set_name_label", vdi, "new")
    second = inside.call("event.from", ["vdi"], first["token"], 0.0)
    assert [(event["operation"], event["ref"], event["class"]) for event in second["events"]] == [("add", vdi, "vdi")]
    assert second["events"][0]["snapshot"]["name_label"] == "new"
    inside.call("VDI.set_name_label", vdi, "newer")
    third = inside.call("event.from", ["vdi/" + vdi], second["token"], 0.0)
    assert [event["operation"] for event in third["events"]] == ["mod"]
    inside.call("VDI.destroy", vdi)
    fourth = inside.call("event.from", ["*"], third["token"], 0.0)
    gone = [event for event in fourth["events"] if event["ref"] == vdi]
    assert [event["operation"] for event in gone] == ["del"] and "snapshot" not in gone[0]
    assert any(event["class"] == "sr" for event in fourth["events"])


def test_events_are_waited_for(inside: Inside) -> None:
    token = inside.call("event.from", ["vm"], "", 0.0)["token"]
    assert inside.call("event.from", ["vm"], token, 0.01)["events"] == []
    timer = threading.Timer(0.05, inside.machine)
    timer.start()
    assert [event["operation"] for event in inside.call("event.from", ["vm"], token, 30.0)["events"]] == ["add"]
    timer.join()


@pytest.mark.parametrize("classes, token, code", [
    (["vm"], "x", "EVENT_FROM_TOKEN_PARSE_FAILURE"),
    (["vm"], "1", "EVENT_FROM_TOKEN_PARSE_FAILURE"),
    ([""], "", "EVENT_SUBSCRIPTION_PARSE_FAILURE"),
    (["vm/"], "", "EVENT_SUBSCRIPTION_PARSE_FAILURE"),
])
def test_events_that_cannot_be_asked_for(inside: Inside, classes: t.List[str], token: str, code: str) -> None:
    assert inside.failure("event.from", classes, token, 0.0)[0] == code


def test_an_event_by_request(inside: Inside) -> None:
    vm = inside.machine()
    token = inside.call("event.inject", "vm", vm)
    assert [event["ref"] for event in inside.call("event.from", ["vm"], token, 0.0)["events"]] == [vm]
    assert inside.failure("event.inject", "vm", "OpaqueRef:1")[0] == "HANDLE_INVALID"


# --- many at once ---


def test_many_callers(inside: Inside) -> None:
    """Nothing is lost or doubled, and who waits for events sees all of it."""
    token = inside.call("event.from", ["vdi"], "", 0.0)["token"]

    def work() -> None:
        for number in range(10):
            vdi = inside.disk()
            inside.call("VDI.add_tags", vdi, "x")
            if number % 2:
                inside.call("VDI.destroy", vdi)

    threads = [threading.Thread(target=work) for dummy in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = [ref for ref, row in inside.call("VDI.get_all_records").items() if row["tags"] == ["x"]]
    assert len(left) == 30
    events = inside.call("event.from", ["vdi"], token, 0.0)["events"]
    assert {event["ref"] for event in events if event["operation"] == "add"} == set(left)
    assert sum(event["operation"] == "del" for event in events) == 30


# --- faults ---


def test_a_call_is_carried_out_though_the_connection_breaks(inside: Inside) -> None:
    inside.pool.faults.reset_after = ["VDI.create"]
    before = len(inside.call("VDI.get_all"))
    with pytest.raises(Reset):
        inside.disk()
    assert len(inside.call("VDI.get_all")) == before + 1
    inside.disk()


def test_a_connection_breaks_before_the_call(inside: Inside) -> None:
    inside.pool.faults.reset_before = ["VDI.create"]
    before = inside.call("VDI.get_all")
    with pytest.raises(Reset):
        inside.pool.xmlrpc(inside.pool.master, xmlrpc.client.dumps((inside.session, {}), "VDI.create").encode())
    assert inside.call("VDI.get_all") == before


def test_a_call_fails_once(inside: Inside) -> None:
    inside.pool.faults.fail_next("VDI.create", "SR_BACKEND_FAILURE_40", "", "busy", "")
    assert inside.failure("VDI.create", {}) == ["SR_BACKEND_FAILURE_40", "", "busy", ""]
    vdi = inside.disk()
    inside.pool.faults.fail_next("VDI.destroy", "VDI_IN_USE", vdi, "destroy")
    assert inside.ended(inside.call("Async.VDI.destroy", vdi))["error_info"] == ["VDI_IN_USE", vdi, "destroy"]
    inside.call("VDI.destroy", vdi)


def test_sessions_expire(inside: Inside) -> None:
    inside.pool.faults.expire_sessions()
    assert inside.failure("VM.get_all") == ["SESSION_INVALID", inside.session]


def test_the_log_tells_writes(inside: Inside) -> None:
    faults = inside.pool.faults
    faults.clear()
    vdi = inside.disk()
    inside.call("VM.get_all_records")
    inside.call("task.create", "", "")
    inside.failure("VM.assert_can_boot_here", inside.machine(), "OpaqueRef:1")
    inside.ended(inside.call("Async.VDI.destroy", vdi))
    assert [call.method for call in faults.writes()] == ["VDI.create", "VM.create", "Async.VDI.destroy"]
    inside.login("reader", "reader")
    assert [call.params for call in faults.calls if call.method == "session.login_with_password"] == [("reader",)]
    assert ("VM.assert_can_boot_here", "HANDLE_INVALID") in [(call.method, call.error) for call in faults.calls]


def test_faults_over_http(inside: Inside) -> None:
    command = inside.pool.faults.command
    assert command({"set": {"tools_delay": 2.5}}) is None and inside.pool.faults.tools_delay == 2.5
    command({"do": "fail_import", "after": 10})
    assert inside.pool.faults.take_import() == ImportFault(after=10)
    assert inside.pool.faults.take_import() is None
    command({"do": "fail_export", "code": "VDI_IO_ERROR", "params": ["x"]})
    assert inside.pool.faults.take_export() == ImportFault(code="VDI_IO_ERROR", params=("x",))
    command({"do": "fill", "sr": "LVM storage"})
    assert inside.pool.faults.full == {inside.world.lvm}
    command({"do": "empty", "sr": inside.world.lvm})
    assert not inside.pool.faults.full
    command({"do": "fail_next", "method": "VM.get_all", "code": "TOO_BUSY"})
    assert inside.failure("VM.get_all") == ["TOO_BUSY"]
    inside.machine()
    assert "VM.create" in [call["method"] for call in command({"do": "writes"})]
    for wrong in ({"do": "explode"}, {"set": {"calls": []}}, {"do": "fill"}, {"do": "fill", "sr": "none"}):
        with pytest.raises(ValueError):
            command(wrong)
