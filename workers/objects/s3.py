"""Objects in an S3-compatible store, through boto3; links are presigned by it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]  it has none; nor have the next two
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]
from msgspec import Struct

from ledger.ports import Clock
from workers.errors import StoreUnavailable
from workers.objects.port import StoredObject, check_key

_ANSWER_LIMIT_S = 30
_CONNECT_LIMIT_S = 5
_LINK_MAX_S = 7 * 24 * 3600
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})


class S3Place(Struct, frozen=True, kw_only=True):
    """Where the store is and who we are there; without keys the machine's own role is used."""

    bucket: str
    region: str
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None


class S3Objects:
    """See ``ObjectStore``. The bucket exists; it and its objects are private."""

    def __init__(self, place: S3Place, clock: Clock) -> None:
        self._bucket = place.bucket
        self._clock = clock
        config = Config(
            signature_version="s3v4",
            connect_timeout=_CONNECT_LIMIT_S,
            read_timeout=_ANSWER_LIMIT_S,
            retries={"max_attempts": 3, "mode": "standard"},
        )
        self._client: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType]  made at run time from a model
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint_url,
            aws_access_key_id=place.access_key_id,
            aws_secret_access_key=place.secret_access_key,
            config=config,
        )

    def put(self, key: str, content: bytes, *, mime: str) -> None:
        """See ``ObjectStore``."""
        self._ask("put_object", Key=check_key(key), Body=content, ContentType=mime)

    def get(self, key: str) -> StoredObject | None:
        """See ``ObjectStore``."""
        found = self._ask("get_object", Key=check_key(key))
        if found is None:
            return None
        try:
            return StoredObject(content=found["Body"].read(), mime=found["ContentType"])
        except BotoCoreError as error:
            raise StoreUnavailable(f"the store cut its answer: {type(error).__name__}") from error

    def delete(self, key: str) -> None:
        """See ``ObjectStore``."""
        self._ask("delete_object", Key=check_key(key))

    def link(self, key: str, *, until: datetime, file_name: str) -> str:
        """See ``ObjectStore``; at most a week, which is as long as the store's own signatures last."""
        seconds = int((until - self._clock.now()).total_seconds())
        place = {
            "Bucket": self._bucket,
            "Key": check_key(key),
            "ResponseContentDisposition": f'inline; filename="{file_name}"',
        }
        return self._client.generate_presigned_url(
            "get_object", Params=place, ExpiresIn=max(1, min(seconds, _LINK_MAX_S))
        )

    def _ask(self, operation: str, **params: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, **params)
        except ClientError as error:
            answer = cast("dict[str, dict[str, str]]", error.response)
            code = answer.get("Error", {}).get("Code", "")
            if code in _MISSING and operation != "put_object":
                return None
            raise StoreUnavailable(f"the store refused: {code}") from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"the store does not answer: {type(error).__name__}") from error
