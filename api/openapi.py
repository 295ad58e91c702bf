"""The OpenAPI 3.1 document, made of the operations that routes carry and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from api.operations import OPERATION, Answer, Operation, Parameter
from api.problem_types import PROBLEM_TYPES
from api.problems import MEDIA_TYPE
from customers.domain.scopes import MEANINGS

_EVERYWHERE = ("internal-error", "overloaded", "not-ready")
_WITH_KEY = ("unauthenticated", "scope-missing")
_REF = "#/components/schemas/{name}"
_BEARER = "bearer"
_TRANSIENT = {
    "type": "boolean",
    "description": "Whether the same request, with the same Idempotency-Key, may succeed later.",
}
Found = tuple[str, str, Operation]


def find_operations(app: Litestar) -> list[Found]:
    """Path, method and operation of every route that carries one."""
    found: list[Found] = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            operation = handler.opt.get(OPERATION)
            if isinstance(operation, Operation):
                methods = sorted(method.lower() for method in handler.http_methods)
                found += [(route.path_format, method, operation) for method in methods]
    return sorted(found, key=lambda entry: entry[:2])


def document(app: Litestar, *, public_url: str, version: str) -> dict[str, Any]:
    """The whole document."""
    operations = find_operations(app)
    (_, components) = msgspec.json.schema_components(_kinds(operations), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in operations:
        paths.setdefault(path, {})[method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick",
            "version": version,
            "description": "Credits that can be proven by both sides, and image jobs that spend them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "tags": [{"name": tag} for tag in sorted({operation.tag for _, _, operation in operations})],
        "paths": paths,
        "webhooks": {},
        "components": {
            "schemas": {**_in_ecma(components), "Problem": _problem_schema()},
            "securitySchemes": {_BEARER: _security_scheme()},
        },
    }


def _in_ecma(schema: Any) -> Any:
    """A schema whose patterns end as JSON schema writes it: the end of a text is ``$`` there."""
    if isinstance(schema, dict):
        entries = cast("dict[str, Any]", schema).items()
        return {name: _end(value) if name == "pattern" else _in_ecma(value) for name, value in entries}
    if isinstance(schema, list):
        return [_in_ecma(entry) for entry in cast("list[Any]", schema)]
    return schema


def _end(pattern: Any) -> Any:
    return f"{pattern[:-2]}$" if isinstance(pattern, str) and pattern.endswith(r"\Z") else _in_ecma(pattern)


def _kinds(operations: Iterable[Found]) -> list[Any]:
    kinds: list[Any] = []
    for _, _, operation in operations:
        answered = [kind for answer in operation.answers for kind in (answer.kind, answer.or_kind)]
        named = [operation.body, *answered]
        kinds += [kind for kind in named if kind not in {None, str, bytes} and kind not in kinds]
    return kinds


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": {str(answer.status): _answer(answer) for answer in operation.answers} | _problems(operation),
        "security": [] if operation.scope is None else [{_BEARER: [operation.scope]}],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        described["requestBody"] = _body(operation)
    return described


def _body(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(operation.body)}
    if operation.example is not None:
        content["examples"] = {"example": {"value": operation.example}}
    return {"required": operation.body_required, "content": {operation.body_media_type: content}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in answer.headers.items()
        }
    if answer.kind is not None:
        schema = _schema(answer.kind)
        if answer.or_kind is not None:
            schema = {"anyOf": [schema, _schema(answer.or_kind)]}
        described["content"] = {kind: {"schema": schema} for kind in (answer.media_type, *answer.also)}
    return described


def _problems(operation: Operation) -> dict[str, Any]:
    """Problem answers by status; the codes of one status share an answer."""
    counted = () if operation.unlimited else ("quota-exceeded",)
    codes = {*operation.problems, *_EVERYWHERE, *counted, *(() if operation.scope is None else _WITH_KEY)}
    if any(parameter.name == "Idempotency-Key" for parameter in operation.parameters):
        codes |= {"idempotency-key-invalid", "idempotency-key-conflict", "outcome-unknown", "not-done"}
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {
            "value": {
                "type": f"https://credits.example.com/problems/{code}",
                "title": PROBLEM_TYPES[code].title,
                "status": status,
                "code": code,
                "detail": PROBLEM_TYPES[code].advice,
                "instance": "urn:request:0190f2a4c5d87e6f8a9b0c1d2e3f4a5b",
                "transient": PROBLEM_TYPES[code].again,
            }
        }
        for code in codes
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}, "examples": examples}}
    return {"description": "; ".join(PROBLEM_TYPES[code].title for code in codes) + ".", "content": content}


def _schema(kind: Any) -> dict[str, Any]:
    if kind is str:
        return {"type": "string"}
    if kind is bytes:
        return {"type": "string", "contentMediaType": "application/octet-stream"}
    ((schema,), _) = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def _problem_schema() -> dict[str, Any]:
    fault = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("detail", "pointer", "parameter", "header")},
        "required": ["detail"],
    }
    text = {"type": "string"}
    return {
        "type": "object",
        "title": "Problem",
        "description": "RFC 9457. Branch on `code`.",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": sorted(PROBLEM_TYPES)},
            "detail": text,
            "instance": text,
            "transient": _TRANSIENT,
            "errors": {"type": "array", "items": fault},
            "required": text,
            "available": text,
            "held": text,
            "limit_source": text,
            "top_up_url": text,
            "scope": text,
        },
        "required": ["type", "title", "status", "code", "detail", "instance", "transient"],
    }


def _security_scheme() -> dict[str, Any]:
    scopes = "\n".join(f"* `{scope}`: {meaning}" for scope, meaning in MEANINGS.items())
    return {
        "type": "http",
        "scheme": "bearer",
        "description": f"An API key, `tally_live_…` or `tally_test_…`.\n\n{scopes}",
    }
