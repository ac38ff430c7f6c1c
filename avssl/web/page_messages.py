"""Messages between pages and routes, as JSON of limited size."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from avssl.errors import InputError

MAX_BODY = 8 * 2**20
"""Bytes of a message of a page."""


async def message_of(request: Request) -> dict[str, Any]:
    """A message of a page.

    Raises:
        InputError: it is longer than `MAX_BODY`, or no object in JSON.
    """
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise InputError(f"expected a message of {MAX_BODY // 2**20} MiB at most")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError("expected a message in JSON") from error
    if not isinstance(values, dict):
        raise InputError("expected an object in JSON")
    return values


def json_answer(values: Any, status: int = 200) -> Response:
    """JSON in ASCII: names of files that are not UTF-8 come through."""
    return Response(json.dumps(values), status, media_type="application/json")
