"""What is asked: checks of fifty agents over twenty tools, with distinct arguments."""

import json
import random
from collections.abc import Iterator

TOOLS = 20
LIMITED = "tool-00"


def tool_name(number: int) -> str:
    return f"tool-{number:02}"


def requests(keys: list[str], count: int, seed: int) -> Iterator[bytes]:
    """60 % allowed, 30 % denied (a folder that nobody was granted), 10 % over a limit; distinct arguments."""
    dice = random.Random(seed)
    for number in range(count):
        kind = dice.random()
        tool = LIMITED if kind >= 0.9 else tool_name(dice.randrange(1, TOOLS))
        folder = "closed" if 0.6 <= kind < 0.9 else "open"
        arguments = {
            "folder": folder,
            "name": f"d{seed}-{number}",
            "size": dice.randrange(1000),
            "title": "A title",
        }
        body = json.dumps({"tool": tool, "arguments": arguments, "session": f"run-{number % 7}"}).encode()
        key = keys[dice.randrange(len(keys))]
        yield (
            b"POST /v1/check HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer " + key.encode()
            + b"\r\ncontent-type: application/json\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )  # fmt: skip
