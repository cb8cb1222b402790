"""A bare grpc.aio server that returns each message unchanged: the lower bound of an RPC in Python."""

import asyncio
import signal
from collections.abc import AsyncIterable, AsyncIterator

import grpc
import uvloop

METHOD = "/userfold.benchmarks.Echo/Echo"
STREAM_METHOD = "/userfold.benchmarks.Echo/EchoEach"


async def _echo(message: bytes, _: object) -> bytes:
    return message


async def _echo_each(messages: AsyncIterable[bytes], _: object) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


async def _serve() -> None:
    server = grpc.aio.server()
    service, _, method = METHOD.strip("/").partition("/")
    # Without serializers, messages are bytes.
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(_echo),
        STREAM_METHOD.rpartition("/")[2]: grpc.stream_stream_rpc_method_handler(_echo_each),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"userfold-echo ready grpc=127.0.0.1:{port}", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(_serve())
