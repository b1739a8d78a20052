"""The HTTP interface to all tasks, as a FastAPI application that knows nothing of Ray."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.data.events import Event
from components.tasks.servable import UnusableContent
from serve.dispatch import Dispatcher, InvalidEvents
from serve.engine import NotPromoted
from serve.messages import (
    AnswerAnswer,
    AnswerRequest,
    CaptionAnswer,
    CaptionRequest,
    ErrorAnswer,
    EventsAnswer,
    EventsRequest,
    HealthAnswer,
    ModelAnswer,
    ModelsAnswer,
    RecommendAnswer,
    RecommendedItem,
    RecommendRequest,
    TaskHealth,
)

LARGEST_BODY = 1_000_000
"""Bytes; a thousand ratings need a fifth of it, a thousand answers with their passages about all."""
LARGEST_IMAGE = 10_000_000
"""Bytes of an upload, the image and the fields beside it."""
MOST_DRAINED = 100_000_000
"""Bytes that are read and thrown away before a body is refused: a client that still writes hears no answer."""


def _errors(limit: int = LARGEST_BODY) -> dict[int | str, dict[str, Any]]:
    return {
        404: {"model": ErrorAnswer, "description": "No model of the task is promoted under the alias"},
        413: {"model": ErrorAnswer, "description": f"The body has more than {limit} bytes"},
        422: {"model": ErrorAnswer, "description": "A field is wrong, and nothing was taken; `loc` names it"},
    }


class AsciiJSONResponse(JSONResponse):
    """JSON in which every character arrives, even halves of surrogate pairs that a request contained."""

    def render(self, content: Any) -> bytes:
        """Encode `content`."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class BodyLimit:
    """Answers 413 to bodies over a limit, before anything parses them."""

    def __init__(self, app: ASGIApp, limit: int, limits: Mapping[str, int]) -> None:
        """Hold paths in `limits` to a limit of their own."""
        self._app, self._limit, self._limits = app, limit, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand it on in one piece."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], self._limit)
        body, size, more = bytearray(), 0, True
        while more and size <= MOST_DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:
                body += part
            more = message.get("more_body", False)
        if size > limit:
            advice = "send a smaller image" if scope["path"] in self._limits else "send it in parts"
            answer = AsciiJSONResponse({"detail": f"body over {limit} bytes; {advice}"}, 413)
            await answer(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def create_api(dispatcher: Dispatcher) -> FastAPI:
    """Return the application that answers with the models of `dispatcher`.

    Its endpoints are plain functions, so they run in a thread pool and a slow one holds up nobody.
    """
    api = FastAPI(
        title="Adaptune",
        summary="Recommendations, answers and captions that adapt to each user with every event.",
        default_response_class=AsciiJSONResponse,
        docs_url=None,  # its page loads scripts from elsewhere, which an endpoint behind a wall cannot
        redoc_url=None,
    )
    api.add_middleware(BodyLimit, limit=LARGEST_BODY, limits={"/v1/caption": LARGEST_IMAGE})
    _add_error_handlers(api)
    _add_answers(api, dispatcher)
    _add_overviews(api, dispatcher)
    return api


def _add_answers(api: FastAPI, dispatcher: Dispatcher) -> None:
    @api.post("/v1/recommend", responses=_errors())
    def recommend(request: RecommendRequest) -> RecommendAnswer:
        """Recommend items that the user has no event about, best first."""
        reply = dispatcher.recommend(request.user, request.k)
        items = [RecommendedItem.model_validate(item) for item in reply.answer]
        return RecommendAnswer(user=request.user, known=reply.known, model=reply.model, items=items)

    @api.post("/v1/answer", responses=_errors())
    def answer(request: AnswerRequest) -> AnswerAnswer:
        """Answer a question from a passage, in the extent that the user wants."""
        reply = dispatcher.answer(request.user, request.question, request.passage)
        found = reply.answer
        return AnswerAnswer(
            user=request.user,
            known=reply.known,
            model=reply.model,
            text=found.text,
            start=found.start,
            end=found.end,
            score=found.score,
        )

    @api.post("/v1/caption", responses=_errors(LARGEST_IMAGE))
    def caption(
        request: Annotated[CaptionRequest, Form(media_type="multipart/form-data")],
    ) -> CaptionAnswer:
        """Caption an image, in the style that the user wants. The request is a form, as browsers upload files."""
        reply = dispatcher.caption(request.user, request.image.file.read())
        text, score = reply.answer.text, reply.answer.score
        return CaptionAnswer(user=request.user, known=reply.known, model=reply.model, text=text, score=score)

    @api.post("/v1/events", responses=_errors())
    def events(request: EventsRequest) -> EventsAnswer:
        """Take in what a user did, in whatever tasks; the next answers build on it."""
        told = [Event(user=request.user, **event.model_dump()) for event in request.events]
        result = dispatcher.ingest(request.user, told)
        return EventsAnswer(
            user=request.user,
            accepted=result.accepted,
            duplicates=result.duplicates,
            model=result.models[0],
            models=list(result.models),
        )


def _add_overviews(api: FastAPI, dispatcher: Dispatcher) -> None:
    @api.get("/v1/models")
    def models() -> ModelsAnswer:
        """List all versions of all tasks, their aliases, metrics and provenance."""
        serving = {model.version.name for model in dispatcher.models().values()}
        return ModelsAnswer(
            models=[
                ModelAnswer(
                    name=listing.name,
                    aliases=list(listing.aliases),
                    serving=listing.name in serving,
                    digest=listing.digest,
                    created=listing.created,
                    metrics=dict(listing.metrics),
                    provenance=dict(listing.provenance),
                    problem=listing.problem,
                )
                for listing in dispatcher.registry.versions()
            ]
        )

    @api.get("/healthz", responses={503: {"model": HealthAnswer, "description": "Nothing is promoted yet"}})
    def healthz() -> JSONResponse:
        """Tell whether the endpoint can answer, for which tasks, and with which versions."""
        models = dispatcher.models()
        tasks = {
            task: TaskHealth(
                alias=f"{task}/{engine.alias}",
                model=models[task].version.name if task in models else None,
                problem=engine.problem,
            )
            for task, engine in dispatcher.engines.items()
        }
        first = tasks[next(iter(models or tasks))]
        status = "ok" if models else "no model"
        answer = HealthAnswer(status=status, tasks=tasks, **first.model_dump())
        return AsciiJSONResponse(answer.model_dump(), 200 if models else 503)


def _add_error_handlers(api: FastAPI) -> None:
    @api.exception_handler(NotPromoted)
    def not_promoted(_: Request, error: NotPromoted) -> JSONResponse:
        return AsciiJSONResponse({"detail": str(error)}, 404)

    @api.exception_handler(UnusableContent)
    def unusable(_: Request, error: UnusableContent) -> JSONResponse:
        return _refusal([("unusable_content", ("body",), str(error))])

    @api.exception_handler(InvalidEvents)
    def invalid_events(_: Request, error: InvalidEvents) -> JSONResponse:
        return _refusal(
            [(f"invalid_{e.field}", ("body", "events", e.index, e.field), e.message) for e in error.errors]
        )

    @api.exception_handler(RequestValidationError)
    def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which FastAPI would echo: it may hold what JSON cannot (NaN), or a megabyte.
        return _refusal([(e["type"], e["loc"], _in_words(e)) for e in error.errors()])


def _in_words(error: Mapping[str, Any]) -> str:
    """Return a validation error's message, without the names of Python's classes."""
    if error["type"] == "model_attributes_type" and tuple(error["loc"]) == ("body",):
        return "expected a JSON object, sent with the header `content-type: application/json`"
    if "UploadFile" in error["msg"]:
        return "expected an uploaded file, a JPEG or PNG"
    return str(error["msg"])


def _refusal(problems: Sequence[tuple[str, Sequence[str | int], str]]) -> JSONResponse:
    detail = [{"type": type, "loc": list(loc), "msg": message} for type, loc, message in problems]
    return AsciiJSONResponse({"detail": detail}, 422)
