"""One streaming call: each request is authenticated and parsed as it arrives, until the stream ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing

import grpc

from server.errors import CredentialUnknown
from server.rpc.call import Call
from server.rpc.error_status import error_status
from server.rpc.invocation import AcceptedCall, Context, respond_traced
from server.rpc.observing.request_lines import refused, write_served
from server.rpc.open_streams import OpenStream
from server.rpc.parsing import ParsedRequest


class StreamOfCalls(AcceptedCall):
    """A stream in which each request is served as a call of its own, whose error does not end the stream."""

    request_streaming = True
    response_streaming = True

    async def stream_stream(self, payloads: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        method, head = self.method, self.head
        started = time.perf_counter()
        try:
            application = await method.authenticate_head(head)
            with method.streams.open(method.capacity, application.application_id, head.credential) as stream:
                async with aclosing(stream.payloads(payloads)) as received:
                    async for payload in received:
                        yield await self._result(payload, context)
        except Exception as error:
            await self.abort(error, context, started)

    async def _result(self, payload: bytes, context: Context) -> bytes:
        """The response to one request of the stream, or the error that refuses it."""
        method = self.method
        started = time.perf_counter()
        try:
            response = await respond_traced(method, method.renewed(self.head), payload, context)
            result = method.response_class(response=response)
        except Exception as error:
            origin, refusals = method.origin_of(self.head, context.peer, payload), method.refusals_of(self.head)
            status = refused(method.name, error, origin, method.request_log, started, refusals)
            result = method.response_class(error=status)
        return result.SerializeToString()


class StreamCall(AcceptedCall):
    """A stream whose requests the servicer serves together, in one call."""

    request_streaming = True
    response_streaming = True

    async def stream_stream(self, payloads: AsyncIterable[bytes], context: Context) -> AsyncIterator[bytes]:
        started = time.perf_counter()
        method, head = self.method, self.head
        code, application_id = grpc.StatusCode.CANCELLED, head.application_id
        try:
            application = await method.authenticate_head(head)
            application_id = application.application_id
            with method.streams.open(method.capacity, application.application_id, head.credential) as stream:
                addresses = method.request_log.addresses
                call = Call(application, head.metadata, context.peer, method.refusals, addresses=addresses)
                async for response in method.serve(self._requests(stream, payloads, call), call):
                    yield response.SerializeToString()
            code = grpc.StatusCode.OK
            if method.request_log.is_on:
                write_served(method.request_log, method.name, call, None, started)
        except Exception as error:
            code = error_status(error).code
            await self.abort(error, context, started)
        finally:
            method.observe(code, application_id, started)

    async def _requests(
        self, stream: OpenStream, payloads: AsyncIterable[bytes], call: Call
    ) -> AsyncIterator[ParsedRequest]:
        method, work = self.method, self.method.rule.work
        async with aclosing(stream.payloads(payloads)) as received:
            async for payload in received:
                # A stream may outlive its credential, which may by then even belong to another application.
                application = await method.authenticate(self.head.credential)
                if application.application_id != call.application_id:
                    raise CredentialUnknown
                parsed = await method.parse(payload, call.application_id)
                yield parsed
                # Beyond the rate limit, the producer is slowed down rather than refused.
                method.admission.count(work, call.application_id, method.count_of(parsed.request))
                if seconds := method.admission.pause(work, call.application_id):
                    await asyncio.sleep(seconds)
