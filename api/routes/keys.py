"""API keys: see, make, rotate, revoke."""

from __future__ import annotations

from litestar import Response, get, post

from api.call import Call, answer
from api.operations import Answer, Operation, path_id
from api.views.keys import KeyIn, KeyOut, KeysOut, MadeKeyOut, RotatedKeyOut, RotateIn, key_out

_KEY_ID = path_id("key_id", "key", "The key.")
_BODY_PROBLEMS = ("malformed-body", "unsupported-media-type", "body-too-large", "invalid-request")
_LIST = Operation(
    operation_id="listKeys",
    summary="All API keys",
    tag="Keys",
    scope="keys:read",
    answers=(Answer(status=200, description="Keys, without their secrets.", kind=KeysOut),),
)
_CREATE = Operation(
    operation_id="createKey",
    summary="Make an API key",
    description="The secret is in this answer and nowhere else: a repeat makes another key.",
    tag="Keys",
    scope="keys:write",
    answers=(Answer(status=201, description="The key with its secret.", kind=MadeKeyOut),),
    body=KeyIn,
    example={"name": "web shop", "scopes": ["jobs:read", "jobs:write"], "expires_in_s": 7776000},
    problems=(*_BODY_PROBLEMS, "too-many-keys"),
)
_ROTATE = Operation(
    operation_id="rotateKey",
    summary="Replace an API key",
    description="Makes a successor with the same name, scopes and end. The old key stays good for the overlap.",
    tag="Keys",
    scope="keys:write",
    answers=(Answer(status=200, description="Both keys.", kind=RotatedKeyOut),),
    body=RotateIn,
    body_required=False,
    example={"overlap_s": 3600},
    parameters=(_KEY_ID,),
    problems=(*_BODY_PROBLEMS, "not-found", "key-ended", "key-rotated", "too-many-keys"),
)
_REVOKE = Operation(
    operation_id="revokeKey",
    summary="End an API key",
    description="Holds within two seconds everywhere, for open live streams too. A repeat changes nothing.",
    tag="Keys",
    scope="keys:write",
    answers=(Answer(status=200, description="The key.", kind=KeyOut),),
    parameters=(_KEY_ID,),
    problems=("not-found",),
)


@get("/keys", opt=_LIST.options())
async def list_keys(request: Call) -> Response[bytes]:
    """All keys."""
    found = await request.cross(request.services.keys.list, request.principal.organisation_id)
    now = request.services.clock.now()
    return answer(KeysOut(data=[key_out(key, now) for key in found]))


@post("/keys", opt=_CREATE.options())
async def create_key(request: Call) -> Response[bytes]:
    """Make a key."""
    wanted, principal = await request.read(KeyIn), request.principal
    made = await request.cross(
        request.services.keys.create,
        principal.organisation_id,
        wanted.name,
        wanted.scopes,
        lifetime_s=wanted.expires_in_s,
        within=principal.scopes,
    )
    return answer(MadeKeyOut(key=key_out(made.key, request.services.clock.now()), secret=made.secret), 201)


@post("/keys/{key_id:str}/rotate", opt=_ROTATE.options(), status_code=200)
async def rotate_key(request: Call) -> Response[bytes]:
    """Replace a key."""
    key_id, principal = request.id_of("key", "key_id"), request.principal
    wanted = await request.read_or(RotateIn, RotateIn())
    rotated = await request.cross(
        request.services.keys.rotate,
        principal.organisation_id,
        key_id,
        overlap_s=wanted.overlap_s,
        within=principal.scopes,
    )
    now = request.services.clock.now()
    return answer(RotatedKeyOut(key=key_out(rotated.key, now), secret=rotated.secret, old=key_out(rotated.old, now)))


@post("/keys/{key_id:str}/revoke", opt=_REVOKE.options(), status_code=200)
async def revoke_key(request: Call) -> Response[bytes]:
    """End a key."""
    key_id = request.id_of("key", "key_id")
    revoked = await request.cross(request.services.keys.revoke, request.principal.organisation_id, key_id)
    return answer(key_out(revoked, request.services.clock.now()))
