"""Succeeds if somebody takes messages from a queue: consumed.py SECRET_FILE PORT QUEUE

A service of Nova listens on no port; one that does not take messages yet loses those of the services that wait for it.
"""

import sys
from pathlib import Path

from amqp import Connection
from amqp.exceptions import AMQPError

secret, port, queue = sys.argv[1:]
try:
    with Connection(f"127.0.0.1:{port}", userid="lab", password=Path(secret).read_text(encoding="ascii")) as connection:
        consumers = connection.channel().queue_declare(queue, passive=True).consumer_count
except (AMQPError, OSError) as error:
    sys.exit(f"queue {queue}: {error}")
sys.exit(0 if consumers else f"queue {queue}: nobody takes messages from it")
