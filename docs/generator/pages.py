"""The text of each reference page."""

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor_pb2 import MethodDescriptorProto

from docs.generator import http_api, intros
from docs.generator.contract import Contract
from docs.generator.descriptors import SUBJECTS, Api, message_of, streams
from docs.generator.examples import Examples
from docs.generator.fields import field_list, link_to


def pages() -> Mapping[str, str]:
    """The text of each page by its file name in docs/reference/."""
    api, contract = Api(), Contract()
    written = {"messages.md": _joined(_messages(api)), "field-reasons.md": _joined(_field_reasons(api))}
    for service, subject in SUBJECTS.items():
        examples = Examples(f"http-{subject}.toml", "sh")
        written[f"http-{subject}.md"] = _joined(http_api.page(api, contract, examples, service, subject))
        examples = Examples(f"grpc-{subject}.toml", "python")
        written[f"grpc-{subject}.md"] = _joined(_grpc(api, contract, examples, service, subject))
    return written


def _joined(parts: Iterator[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _grpc(api: Api, contract: Contract, examples: Examples, service: str, subject: str) -> Iterator[str]:
    yield f"# gRPC: {subject}"
    yield intros.NOTE
    yield f"The service `userfold.v1.{service}`. {api.comments[service]}"
    yield intros.GRPC[subject]
    for method in api.services[service].method:
        name = f"{service}.{method.name}"
        yield f"## {method.name}"
        yield f"```proto\n{_signature(method)}\n```"
        yield api.comments[name]
        routes = ", ".join(f"`{route.method} {route.path}`" for route in contract.routes(name))
        yield f"Sending it again is {contract.repetition(name)} " + (
            f"Over HTTP: {routes}." if routes else "gRPC alone."
        )
        for type_name in (method.input_type, method.output_type):
            message = api.messages[message_of(type_name)]
            yield f"### {message.name}"
            yield api.comments[message.name]
            yield field_list(api, message, as_json=False)
        yield "### " + f"Example of {method.name}"
        yield examples.of(method.name)


def _signature(method: MethodDescriptorProto) -> str:
    before, after = streams(method)
    request, response = message_of(method.input_type), message_of(method.output_type)
    return f"rpc {method.name}({before}{request}) returns ({after}{response})"


def _field_reasons(api: Api) -> Iterator[str]:
    yield "# Reasons of fields"
    yield intros.NOTE
    yield intros.FIELD_REASONS
    comments = api.enum("FieldReason")
    yield "\n".join(
        [
            "| reason | what it says |",
            "| --- | --- |",
            *(f"| `{each}` | {_line(comments[each])} |" for each in comments),
        ]
    )


def _line(text: str) -> str:
    """A comment as the text of a cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _messages(api: Api) -> Iterator[str]:
    yield "# Messages"
    yield intros.NOTE
    yield intros.MESSAGES
    methods = [method for service in api.services.values() for method in service.method]
    described = {message_of(name) for method in methods for name in (method.input_type, method.output_type)}
    names = [name for name in api.messages if name not in described]
    yield "\n".join(f"- {link_to(name)}" for name in names)
    for name in names:
        yield f"## {name}"
        yield api.comments[name]
        yield field_list(api, api.messages[name], as_json=False)
