"""A small service that takes money for each call and counts it by itself. ``python -m bench.paid_service PORT``.

``POST /open`` with a body of whole nano-US-dollars begins a new count at that price; ``POST /call`` takes it after a
tenth of a second or so; ``GET /spent`` answers how much was taken, as a number.
"""

import asyncio
import random
import sys

BUSY = (0.05, 0.25)  # seconds that a call takes, from and to


class Till:
    """The price of a call, and what was taken."""

    def __init__(self) -> None:
        self.price = 0
        self.taken = 0
        self.dice = random.Random(7)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection. The money is taken when the call begins, whoever hears of it."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (
                    int(line.split(":")[1])
                    for line in head.split("\r\n")
                    if line.lower().startswith("content-length")
                ),
                0,
            )
            body = (await reader.readexactly(length)).decode()
            said = await self.answer(head.split(" ")[1], body)
            writer.write(
                f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode()
            )
            await writer.drain()
        finally:
            writer.close()

    async def answer(self, path: str, body: str) -> str:
        if path == "/open":
            self.price, self.taken = int(body), 0
        elif path == "/call":
            self.taken += self.price
            await asyncio.sleep(self.dice.uniform(*BUSY))
        return str(self.taken)


async def main(port: int) -> None:
    server = await asyncio.start_server(Till().serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
