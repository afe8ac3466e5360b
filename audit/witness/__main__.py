"""python -m audit.witness: runs a witness, or prints its key."""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import files
from audit.notes import COSIGNATURE, NAME, NoteError, Signer
from audit.policy import Policy, PolicyError
from audit.witness.ledger import Ledger, LedgerError
from audit.witness.server import Server


def main(arguments: list[str]) -> int:
    """Exit code 2 where something has to be set right first; else runs until it is stopped."""
    options = options_of(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        signer = signer_in(options.key, options.name)
        if options.print_key:
            sys.stdout.write(f"{signer.verifier}\n")
            return 0
        policy = Policy.parse(options.logs.read_bytes(), quorum=False)
        if not policy.logs:
            raise PolicyError(0, "It lists no log, so there is nothing to witness: add a line `log <vkey>`.")
        server = Server(options.listen, Ledger(options.state, signer, policy.keys_of))
    except PolicyError as error:
        sys.stderr.write(f"{options.logs}: {error}\n")
        return 2
    except (LedgerError, NoteError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    serve(server, f"{signer.verifier} on {server.server_address[0]!s}:{server.server_address[1]}")
    return 0


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m audit.witness", description=__doc__)
    parser.add_argument(
        "--key", type=Path, required=True, help="File of the witness's key; made where there is none."
    )
    parser.add_argument(
        "--name", help="The witness's name, such as witness.example/1; needed to make its key."
    )
    parser.add_argument(
        "--print-key", action="store_true", help="Print the public key for policy files, and stop."
    )
    parser.add_argument("--logs", type=Path, help="File with a line `log <vkey>` for each log to witness.")
    parser.add_argument("--state", type=Path, help="Folder in which to remember what was signed.")
    parser.add_argument(
        "--listen", type=address, default=("127.0.0.1", 8090), help="host:port (127.0.0.1:8090)."
    )
    options = parser.parse_args(arguments)
    if not options.print_key and not (options.logs and options.state):
        parser.error("--logs and --state are needed to serve")
    return options


def address(text: str) -> tuple[str, int]:
    """host:port, or [host]:port."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError("write host:port")
    return host.strip("[]"), int(port)


def signer_in(path: Path, name: str | None) -> Signer:
    """The key of a file, made where there is none and a name is given. Raises NoteError and OSError."""
    if not path.exists():
        if not name or not NAME.fullmatch(name):
            raise NoteError(
                f"There is no {path}. Say --name witness.example/1 (no spaces, no +) to make a key."
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Signer(name, Ed25519PrivateKey.generate(), COSIGNATURE)
        files.create(path, f"{made.secret}\n".encode())
    if path.stat().st_mode & 0o077:
        raise NoteError(f"Others may read {path}; make it its owner's alone: chmod 600.")
    signer = Signer.parse(path.read_text(errors="replace"))
    if signer.kind != COSIGNATURE or (name and signer.name != name):
        raise NoteError(f"{path} is the key of {signer.name}, type {signer.kind}; not of this witness.")
    return signer


def serve(server: Server, told: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    sys.stdout.write(f"Witness {told}\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    finally:
        server.server_close()
        server.ledger.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
