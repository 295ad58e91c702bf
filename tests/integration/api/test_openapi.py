"""The OpenAPI document is true: what it promises is what the API does."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import hypothesis
import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.app import VERSION, create_app
from api.openapi import document, find_operations
from api.problem_types import PROBLEM_TYPES
from tests.support.api import Customer, Site

BARE = cast(
    "Any",
    SimpleNamespace(public_url="http://here", top_up_url="http://here/", ids=None, owners=None, crossing=None),
)
DOCUMENT = document(create_app(BARE), public_url="http://here", version=VERSION)
OPERATIONS = sorted(operation.operation_id for _, _, operation in find_operations(create_app(BARE)))
SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much, hypothesis.HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def ada(site: Site) -> Customer:
    """Whose key is used."""
    return site.customer(amount=1_000_000)


@pytest.fixture(scope="module")
def schema(site: Site) -> Any:
    """The document as served."""
    with site.stranger() as client:
        served = client.get("/openapi.json").json()
    return schemathesis.openapi.from_dict(served)


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_the_api_does_what_its_document_says(operation_id: str, schema: Any, site: Site, ada: Customer) -> None:
    operation = schema.find_operation_by_id(operation_id)

    @hypothesis.settings(max_examples=25, suppress_health_check=SLOW, derandomize=True)
    @hypothesis.given(case=operation.as_strategy())
    def check(case: Any) -> None:
        case.headers.pop("Prefer", None)
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = uuid4().hex
        case.call_and_validate(
            base_url=site.url,
            headers={"Authorization": f"Bearer {ada.secret}"},
            # What a tool, a price list or a cursor bounds stands in no schema; test_bad_input says how it is refused.
            excluded_checks=[positive_data_acceptance],
        )

    check()


def test_the_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_answer_that_is_no_success_is_a_problem() -> None:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    ((media_type, content),) = answer["content"].items()
                    assert media_type == "application/problem+json"
                    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                    assert {PROBLEM_TYPES[code].status for code in content["examples"]} == {int(status)}


def test_every_body_has_an_example_and_every_operation_a_name_of_its_own() -> None:
    operations = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names) > 20
    for operation in operations:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or body["examples"]
        assert operation["security"] == [] or next(iter(operation["security"][0].values()))


def test_patterns_end_as_json_schema_writes_it() -> None:
    patterns = set(patterns_of(DOCUMENT))
    assert len(patterns) > 10
    assert all(one.startswith("^") and one.endswith("$") and "\\Z" not in one for one in patterns), patterns


def patterns_of(schema: Any) -> Iterator[str]:
    """All patterns of a document."""
    for name, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if name == "pattern" and isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)):
            yield from patterns_of(value)
