"""`python -m gateway`: the HTTP gateway alone."""

import asyncio
import gc
import os
import signal
import sys

import uvloop
from prometheus_client import start_http_server

from gateway import logs
from gateway.app import create_app
from gateway.channel import open_channel
from gateway.listener import Listener, bind
from gateway.settings import InvalidSetting, Settings, split_address


def main() -> int:
    """Run until SIGINT or SIGTERM. The exit status: 0 after a graceful stop, 1 where it could not start."""
    logs.configure()
    try:
        settings = Settings.from_environment(os.environ)
        _serve_metrics(settings)
        uvloop.run(_run(settings))
    except InvalidSetting as error:
        print(f"userfold-gateway: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(settings: Settings) -> None:
    async with open_channel(settings.grpc_address) as channel:
        listener = Listener(create_app(settings, channel), bind(settings), _ready)
        # What is there by now stays: no collection needs to look at it again.
        gc.freeze()

        def stop() -> None:
            listener.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        await listener.run_until_stopped()


def _ready(url: str) -> None:
    print(f"userfold-gateway ready http={url}", flush=True)


def _serve_metrics(settings: Settings) -> None:
    if settings.metrics_address is None:
        return
    host, port = split_address("USERFOLD_GATEWAY_METRICS_ADDRESS", settings.metrics_address)
    try:
        start_http_server(port, host)
    except OSError as error:
        raise InvalidSetting(f"USERFOLD_GATEWAY_METRICS_ADDRESS: cannot listen there: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
