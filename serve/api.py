"""The HTTP interface of an engine, as a FastAPI application that knows nothing of Ray."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.data.events import Event
from serve.engine import Engine, InvalidEvents, NotPromoted
from serve.messages import (
    ErrorAnswer,
    EventsAnswer,
    EventsRequest,
    HealthAnswer,
    ModelAnswer,
    ModelsAnswer,
    RecommendAnswer,
    RecommendedItem,
    RecommendRequest,
)

LARGEST_BODY = 1_000_000
"""Bytes; a thousand events need a fifth of it."""
MOST_DRAINED = 100_000_000
"""Bytes that are read and thrown away before a body is refused: a client that still writes hears no answer."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorAnswer, "description": "Nothing is promoted under the alias"},
    413: {"model": ErrorAnswer, "description": f"The body has more than {LARGEST_BODY} bytes"},
    422: {"model": ErrorAnswer, "description": "A field is wrong, and nothing was taken; `loc` names it"},
}


class AsciiJSONResponse(JSONResponse):
    """JSON in which every character arrives, even halves of surrogate pairs that a request contained."""

    def render(self, content: Any) -> bytes:
        """Encode `content`."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class BodyLimit:
    """Answers 413 to bodies over a limit, before anything parses them."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand it on in one piece."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, size, more = b"", 0, True
        while more and size <= MOST_DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            part = message.get("body", b"")
            size += len(part)
            body += part if size <= self._limit else b""
            more = message.get("more_body", False)
        if size > self._limit:
            answer = AsciiJSONResponse({"detail": f"body over {self._limit} bytes; send it in parts"}, 413)
            await answer(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def create_api(engine: Engine) -> FastAPI:
    """Return the application that answers with `engine`.

    Its endpoints are plain functions, so they run in a thread pool and a slow one holds up nobody.
    """
    api = FastAPI(
        title="Adaptune",
        summary="Recommendations that adapt to each user with every event.",
        default_response_class=AsciiJSONResponse,
        docs_url=None,  # its page loads scripts from elsewhere, which an endpoint behind a wall cannot
        redoc_url=None,
    )
    api.add_middleware(BodyLimit, limit=LARGEST_BODY)
    _add_error_handlers(api)

    @api.post("/v1/recommend", responses=_ERRORS)
    def recommend(request: RecommendRequest) -> RecommendAnswer:
        """Recommend items that the user has no event about, best first."""
        answer = engine.recommend(request.user, request.k)
        items = [RecommendedItem.model_validate(item) for item in answer.items]
        return RecommendAnswer(user=request.user, known=answer.known, model=answer.model, items=items)

    @api.post("/v1/events", responses=_ERRORS)
    def events(request: EventsRequest) -> EventsAnswer:
        """Take in what a user did; the next recommendation builds on it."""
        told = [Event(user=request.user, **event.model_dump()) for event in request.events]
        result = engine.ingest(request.user, told)
        return EventsAnswer(
            user=request.user, accepted=result.accepted, duplicates=result.duplicates, model=result.model
        )

    @api.get("/v1/models")
    def models() -> ModelsAnswer:
        """List all versions, their aliases, metrics and provenance."""
        serving = engine.serving
        return ModelsAnswer(
            models=[
                ModelAnswer(
                    name=listing.name,
                    aliases=list(listing.aliases),
                    serving=listing.name == serving,
                    digest=listing.digest,
                    created=listing.created,
                    metrics=dict(listing.metrics),
                    provenance=dict(listing.provenance),
                    problem=listing.problem,
                )
                for listing in engine.registry.versions()
            ]
        )

    @api.get("/healthz", responses={503: {"model": HealthAnswer, "description": "Nothing is promoted yet"}})
    def healthz() -> JSONResponse:
        """Tell whether the endpoint can answer, and with which version."""
        serving = engine.serving
        answer = HealthAnswer(
            status="no model" if serving is None else "ok",
            alias=f"{engine.task}/{engine.alias}",
            model=serving,
            problem=engine.problem,
        )
        return AsciiJSONResponse(answer.model_dump(), 503 if serving is None else 200)

    return api


def _add_error_handlers(api: FastAPI) -> None:
    @api.exception_handler(NotPromoted)
    def not_promoted(_: Request, error: NotPromoted) -> JSONResponse:
        return AsciiJSONResponse({"detail": str(error)}, 404)

    @api.exception_handler(InvalidEvents)
    def invalid_events(_: Request, error: InvalidEvents) -> JSONResponse:
        return _refusal(
            [(f"invalid_{e.field}", ("body", "events", e.index, e.field), e.message) for e in error.errors]
        )

    @api.exception_handler(RequestValidationError)
    def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which FastAPI would echo: it may hold what JSON cannot (NaN), or a megabyte.
        return _refusal([(e["type"], e["loc"], e["msg"]) for e in error.errors()])


def _refusal(problems: Sequence[tuple[str, Sequence[str | int], str]]) -> JSONResponse:
    detail = [{"type": type, "loc": list(loc), "msg": message} for type, loc, message in problems]
    return AsciiJSONResponse({"detail": detail}, 422)
