"""Gunicorn reads this file by itself in the folder where it is started."""

import os

wsgi_app = "app:app"
bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
workers = 2
# With setproctitle installed, the processes are called "gunicorn: master [example]".
proc_name = "example"

# The metrics: one UDP packet each to hornpipe. The same as --statsd-host.
statsd_host = os.environ.get("STATSD_HOST", "127.0.0.1:8125")

# The logs: two files in LOG_DIR, else standard output and standard error.
log_directory = os.environ.get("LOG_DIR")
accesslog = os.path.join(log_directory, "access.log") if log_directory else "-"
errorlog = os.path.join(log_directory, "error.log") if log_directory else "-"
