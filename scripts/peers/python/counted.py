"""Counts requests to the engine: a test that passes without a request proves nothing about it."""

import httpx

made = 0


def _count(_request):
    global made
    made += 1


def client(**arguments):
    return httpx.Client(event_hooks={"request": [_count]}, **arguments)
