"""The application that the end-to-end tests run: its paths say what happens.

/status/CODE   answers with the status
/sleep/MS      answers after so many milliseconds, in which it waits
/burn/MS       answers after so many milliseconds, in which it computes
/raise         fails
/crash         kills the worker that was asked
/log/LEVEL     logs through Gunicorn's own logger (see gunicorn.conf.py) and answers 200
"""

import os
import signal
import time


def application(environ, start_response):
    action, _, argument = environ["PATH_INFO"].lstrip("/").partition("/")
    status = "200 OK"
    if action == "status":
        status = f"{argument} As Asked"
    elif action == "sleep":
        time.sleep(int(argument) / 1000)
    elif action == "burn":
        end = time.monotonic() + int(argument) / 1000
        while time.monotonic() < end:
            pass
    elif action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "raise":
        raise RuntimeError("this application fails when asked to")
    start_response(status, [("Content-Length", "0")])
    return [b""]
