"""Logs for /log/LEVEL. Only calls of Gunicorn's own Logger object are counted as gunicorn.log.LEVEL, and only a server
hook reaches it."""


def pre_request(worker, request):
    action, _, level = request.path.lstrip("/").partition("/")
    if action != "log":
        return
    try:
        raise ValueError("something to log")
    except ValueError:
        getattr(worker.log, level)("the test logs at level %s", level)
