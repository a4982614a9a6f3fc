"""One server on the loopback: ``python -m tests.stores.serve s3`` or ``gcs``.

It prints its port, and ends when its standard input does: no test leaves it behind.
"""

import logging
import sys
import threading
from http.server import HTTPServer


def _serve_s3() -> HTTPServer:
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        disable_nagle_algorithm = True

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return make_server(
        "127.0.0.1", 0, create_backend_app("s3"), threaded=True, request_handler=Handler
    )


def _serve_gcs() -> HTTPServer:
    from tests.stores.google import serve

    logging.disable()
    return serve()


def main() -> None:
    """Serve until standard input ends."""
    server = {"s3": _serve_s3, "gcs": _serve_gcs}[sys.argv[1]]()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
