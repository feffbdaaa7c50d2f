"""The application that the end-to-end tests run: its paths say what happens.

/status/CODE   answers with the status
/sleep/MS      answers after so many milliseconds
/raise         fails
/log/LEVEL     logs through Gunicorn's own logger (see gunicorn.conf.py) and answers 200
"""

import time


def application(environ, start_response):
    action, _, argument = environ["PATH_INFO"].lstrip("/").partition("/")
    status = "200 OK"
    if action == "status":
        status = f"{argument} As Asked"
    elif action == "sleep":
        time.sleep(int(argument) / 1000)
    elif action == "raise":
        raise RuntimeError("this application fails when asked to")
    start_response(status, [("Content-Length", "0")])
    return [b""]
