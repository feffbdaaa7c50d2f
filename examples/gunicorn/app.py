"""An application to watch: pages that work, one that is slow, one that fails; every other path is not found."""

import time


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/error":
        # Gunicorn answers 500 and writes the traceback to its error log.
        raise RuntimeError("this page always fails")
    if path == "/slow":
        time.sleep(0.4)
    status = "200 OK" if path in ("/", "/slow") else "404 Not Found"
    body = f"{status}\n".encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
