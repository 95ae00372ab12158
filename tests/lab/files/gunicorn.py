"""The WSGI server of one OpenStack service, told by its environment which: see tasks/gunicorn.yml."""

import os
import sys

# Keystone and Cinder read the command line themselves: they get this one, not gunicorn's.
sys.argv[1:] = os.environ.get("LAB_ARGUMENTS", "").split()

wsgi_app = os.environ["LAB_APPLICATION"]
bind = f"127.0.0.1:{os.environ['LAB_PORT']}"
worker_class = "gthread"
workers = int(os.environ.get("LAB_WORKERS", "1"))
threads = 24
# Uploads and long listings are not hung workers.
timeout = 600
graceful_timeout = 3
keepalive = 30
control_socket_disable = True
# Who asked what, and how long it took: also tells tests that a run wrote nothing.
accesslog = os.environ["LAB_ACCESS_LOG"]
access_log_format = '%(t)s "%(r)s" %(s)s %(B)s bytes %(M)s ms "%(a)s"'
