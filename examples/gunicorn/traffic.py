"""Asks the application for its pages, round by round: traffic.py URL [ROUNDS]. Without ROUNDS until Ctrl-C."""

import collections
import itertools
import signal
import sys
import time
import urllib.error
import urllib.request

ROUND = ["/", "/", "/", "/", "/slow", "/missing", "/error"]

# No proxy of the environment stands between us and the loopback interface.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url):
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def on_stop(action):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, action)


def stop(*_):
    # Ctrl-C reaches us twice, from the terminal and from `run`.
    on_stop(lambda *_: None)
    raise KeyboardInterrupt


def main():
    on_stop(stop)
    url = sys.argv[1]
    rounds = range(int(sys.argv[2])) if len(sys.argv) > 2 else itertools.count()
    answers = collections.Counter()
    try:
        for _ in rounds:
            answers.update(ask(url + path) for path in ROUND)
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit(f"the application does not answer: {error}")
    finally:
        by_status = ", ".join(f"{count} with {status}" for status, count in sorted(answers.items()))
        print(f"{sum(answers.values())} requests answered: {by_status}")


main()
