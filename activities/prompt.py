"""What a model is told, built from the record and nothing else."""

from collections.abc import Iterable

from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.text import canonical, model_notices, redaction
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    ModelRequest,
    ToolCall,
    ToolMessage,
    ToolSchema,
    UserMessage,
)
from keyturn.orchestrator.store.tables import CallRow, StepRow
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.transcript import PastTurn

# A token of English text or JSON is about four bytes; a window need not be exact.
BYTES_PER_TOKEN = 4


def opening(release: Release, value: str) -> str:
    """Return a run's input as its first message, without data that is never seen."""
    kept = redaction.drop(
        canonical.parse(value), release.input_schema, release.never_sees
    )
    return fenced("input", canonical.text(kept))


def fenced(tag: str, text: str) -> str:
    """Return text between marks that it cannot close itself."""
    # `<\/` means the same inside JSON and closes no tag.
    harmless = text.replace("</", "<\\/")
    return f"<{tag}>\n{harmless}\n</{tag}>"


def system(release: Release, step: StepRow) -> str:
    """Return the system text: instructions of contract and step, and house rules."""
    rules = model_notices.house_rules().text
    parts = (release.instructions, step.instructions, rules)
    return "\n\n".join(part for part in parts if part)


def build(
    position: Position,
    *,
    model: str,
    opened: str,
    past: Iterable[PastTurn],
    is_cut: bool,
) -> ModelRequest:
    """Return the request for the next turn of a step."""
    release, step = position.release, position.step
    messages: list[Message] = [UserMessage(text=opened)]
    if is_cut:
        messages.append(UserMessage(text=model_notices.turns_omitted().text))
    for turn in past:
        messages += _turn(turn)
    messages += [UserMessage(text=fenced("message", m.text)) for m in position.unread]
    return ModelRequest(
        model=model,
        system=system(release, step),
        messages=tuple(messages),
        tools=tool_schemas(release) if step.kind == "act" else (),
        output_schema=output_schema(position),
        max_output_tokens=release.max_output_tokens,
        temperature=release.temperature,
    )


def output_schema(position: Position) -> dict[str, JsonValue]:
    """Return the schema of the step's result: its own, else the contract's output."""
    own: dict[str, JsonValue] | None = position.step.output_schema
    return own or position.release.output_schema


def tool_schemas(release: Release) -> tuple[ToolSchema, ...]:
    """Return the tools as a model sees them."""
    return tuple(
        ToolSchema(
            name=tool.name, description=tool.description, parameters=tool.parameters
        )
        for tool in release.tools
    )


def _turn(turn: PastTurn) -> list[Message]:
    messages: list[Message] = []
    for row in turn.messages:
        if row.role == "user":
            messages.append(UserMessage(text=fenced("message", row.text)))
        else:
            messages.append(_assistant(row.text, turn.calls))
    messages += [_answer(call) for call in turn.calls]
    return messages


def _assistant(said: str, calls: list[CallRow]) -> AssistantMessage:
    """Return the model's text with our ids on its calls: its own may repeat."""
    parsed = canonical.parse(said)
    words = parsed.get("text") if isinstance(parsed, dict) else None
    return AssistantMessage(
        text=words if isinstance(words, str) else "",
        calls=tuple(
            ToolCall(id=_call_id(call), name=call.tool, arguments=call.arguments)
            for call in calls
        ),
    )


def _answer(call: CallRow) -> ToolMessage:
    text = call.result or model_notices.call_open().text
    if call.effective and call.effective != call.arguments:
        edited = model_notices.call_edited(arguments=call.effective, result=text)
        text = edited.text
    return ToolMessage(
        call_id=_call_id(call), text=text, is_error=call.status != "done"
    )


def _call_id(call: CallRow) -> str:
    return f"call_{call.turn}_{call.index}"
