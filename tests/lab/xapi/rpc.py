"""From a call on the wire to its answer: which message, its parameters, whether it is allowed, who carries it out."""

from __future__ import annotations

import json
import threading
import time
import traceback
import xmlrpc.client
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from . import generic, values
from .ports import Reset, XapiError
from .registry import HANDLERS, Call
from .schema import NULL, ROLES, SCHEMA, SESSIONLESS, SYNCHRONOUS, Message, Parameter
from .schema_errors import known

if TYPE_CHECKING:
    from .pool import Pool

ON_SLAVES = {"session.slave_local_login_with_password", "session.local_logout"}
"""What a slave answers itself."""


def find_message(method: str) -> tuple[str, Message, bool]:
    """(class, message, in the background). Raises MESSAGE_METHOD_UNKNOWN, MESSAGE_REMOVED."""
    background = method.startswith("Async.")
    cls, dummy, name = method.removeprefix("Async.").partition(".")
    message = SCHEMA[cls].messages.get(name) if cls in SCHEMA else None
    if message is None or background and (cls in SYNCHRONOUS or message.origin != "own"):
        raise XapiError("MESSAGE_METHOD_UNKNOWN", method)
    if message.removed:
        raise XapiError("MESSAGE_REMOVED")
    return cls, message, background


def take_parameters(method: str, message: Message, given: list[Any], wire: str) -> list[Any]:
    """The parameters as they are inside. Raises MESSAGE_PARAMETER_COUNT_MISMATCH, FIELD_TYPE_ERROR, INTERNAL_ERROR."""
    wanted = message.parameters
    least = sum(not parameter.optional for parameter in wanted)
    if not least <= len(given) <= len(wanted):
        expected = least if len(given) < least else len(wanted)
        raise XapiError("MESSAGE_PARAMETER_COUNT_MISMATCH", method, str(expected), str(len(given)))
    return [take_parameter(parameter, value, wire) for parameter, value in zip(wanted, given)]


def take_parameter(parameter: Parameter, value: Any, wire: str) -> Any:
    """One parameter; of a record the fields that a constructor takes, the required ones being there."""
    found = values.take(parameter.type, value, parameter.name, wire)
    if parameter.type.kind != "record":
        return found
    record = {}
    for name, item in SCHEMA[parameter.type.name].fields.items():
        if item.qualifier == "RO/runtime":
            continue
        if name in found:
            record[name] = values.take(item.type, found[name], name, wire)
        elif item.required:
            raise XapiError("INTERNAL_ERROR", f'Server_helpers.Dispatcher_FieldNotFound("{name}")')
        else:
            record[name] = item.initial
    return record


def check_references(pool: Pool, message: Message, parameters: list[Any]) -> None:
    """The first must exist; others may be NULL. Raises HANDLE_INVALID."""
    for number, (parameter, value) in enumerate(zip(message.parameters, parameters)):
        kind = parameter.type
        if kind.kind == "ref" and kind.name in SCHEMA and (number == 0 or value != NULL):
            pool.database.row(kind.name, value)


def check_role(pool: Pool, session: str, method: str, message: Message) -> None:
    """Raises RBAC_PERMISSION_DENIED."""
    role = "pool-operator" if message.role == "client-cert" else message.role
    if role not in ROLES or ROLES.index(pool.sessions.role(session)) < ROLES.index(role):
        raise XapiError("RBAC_PERMISSION_DENIED", method.lower(), "No permission in user session")


def execute(call: Call, cls: str, message: Message, parameters: list[Any]) -> Any:
    """Carries out a message. The pool's lock is held."""
    handler = HANDLERS.get(f"{cls}.{message.name}")
    if handler:
        return handler(call, *parameters)
    return generic.carry_out(call, cls, message, parameters)


def dispatch(pool: Pool, host: str, method: str, given: list[Any], wire: str) -> Any:
    """The value of a call, ready for the wire. `given` begins with the session. Raises XapiError, Reset."""
    error = ""
    pool.faults.before(method)
    try:
        return answer(pool, host, method, given, wire)
    except XapiError as problem:
        error = problem.code
        if not known(problem):
            raise AssertionError(f"no such failure: {problem.description}") from problem
        raise
    finally:
        pool.faults.after(host, method, given, error)


def answer(pool: Pool, host: str, method: str, given: list[Any], wire: str) -> Any:
    """As dispatch, without the faults."""
    with pool.lock:
        pool.tasks.collect()
        if host != pool.master and method not in ON_SLAVES:
            raise XapiError("HOST_IS_SLAVE", pool.address(pool.master))
        cls, message, background = find_message(method)
        sessionless = f"{cls}.{message.name}" in SESSIONLESS
        session = "" if sessionless or not given else str(given[0])
        parameters = take_parameters(method, message, given if sessionless else given[1:], wire)
        if not sessionless:
            pool.sessions.check(session)
            check_role(pool, session, f"{cls}.{message.name}", message)
        check_references(pool, message, parameters)
        call = Call(pool, host, session, method, wire)
        if not background:
            return values.give(message.result, execute(call, cls, message, parameters), wire)
        task = pool.tasks.create(method, "", running=True)
    work = Call(pool, host, session, method, wire, task)
    threading.Thread(target=run, args=(work, cls, message, parameters), name=method, daemon=True).start()
    return task


def run(call: Call, cls: str, message: Message, parameters: list[Any]) -> None:
    """Carries out a message in the background: its task tells how it ended."""
    tasks = call.pool.tasks
    time.sleep(call.pool.faults.background_delay)
    with call.pool.lock:
        try:
            tasks.check(call.task)
            call.pool.faults.fail_if_wanted(call.method.removeprefix("Async."))
            result = execute(call, cls, message, parameters)
            tasks.succeed(call.task, values.result_text(message.result, result))
        except XapiError as error:
            tasks.fail(call.task, error)
        except Exception as error:  # the simulator's own mistake must be seen, not waited for
            traceback.print_exc()
            tasks.fail(call.task, XapiError("INTERNAL_ERROR", repr(error)))


def guarded(pool: Pool, host: str, method: str, given: list[Any], wire: str) -> tuple[Any, list[str]]:
    """(value, []) or (None, the failure). Only Reset gets through."""
    try:
        return dispatch(pool, host, method, given, wire), []
    except XapiError as error:
        if error.code == "SESSION_AUTHENTICATION_FAILED":
            time.sleep(pool.faults.login_delay)
        return None, error.description
    except Reset:
        raise
    except Exception as error:  # as for run()
        traceback.print_exc()
        return None, ["INTERNAL_ERROR", repr(error)]


def xmlrpc_answer(pool: Pool, host: str, body: bytes) -> bytes:
    """The answer to an XML-RPC body. Raises ValueError, Reset."""
    try:
        given, method = xmlrpc.client.loads(body)
    except (ExpatError, xmlrpc.client.ResponseError, xmlrpc.client.Fault, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"no XML-RPC: {error}") from error
    if not method:
        raise ValueError("no XML-RPC call")
    value, failure = guarded(pool, host, method, list(given), values.XML)
    found = {"Status": "Failure", "ErrorDescription": failure} if failure else {"Status": "Success", "Value": value}
    return xmlrpc.client.dumps((found,), methodresponse=True).encode()


def jsonrpc_answer(pool: Pool, host: str, body: bytes) -> bytes:
    """The answer to a JSON-RPC body: 2.0 has results and errors, 1.0 carries what XML-RPC does. Raises ValueError, Reset."""
    request = json.loads(body)
    if not isinstance(request, dict) or not isinstance(request.get("method"), str) or not isinstance(request.get("params"), list):
        raise ValueError("no JSON-RPC call")
    value, failure = guarded(pool, host, request["method"], request["params"], values.JSON)
    found: dict[str, Any]
    if request.get("jsonrpc") == "2.0":
        found = {"jsonrpc": "2.0", "id": request.get("id")}
        if failure:
            found["error"] = {"code": 1, "message": failure[0], "data": failure[1:]}
        else:
            found["result"] = value
    else:
        status = {"Status": "Failure", "ErrorDescription": failure} if failure else {"Status": "Success", "Value": value}
        found = {"result": status, "error": None, "id": request.get("id")}
    return json.dumps(found).encode()
