"""Prints a TCP port of 127.0.0.1 that is free, as the two after it are, which a party may take for its inner servers.

None of those that the kernel gives by itself: between this and the party's bind another process could get it so, for a
listener or for the near end of a connection. A UDP socket at the number says that a test has it (tests/it/support/ports.rs).
"""

import random
import socket

PARTY = 3


def free(port):
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as claim, socket.socket() as listener:
            claim.bind(("127.0.0.1", port))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return True
    except OSError:
        return False


def free_port():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low, high = map(int, file.read().split())
    outside = [port for port in range(10_000, 65_000) if not low - PARTY < port <= high]
    if not outside:
        raise SystemExit("the kernel gives all ports by itself: net.ipv4.ip_local_port_range leaves none for the tests")
    while True:
        port = random.choice(outside)
        if all(free(port + further) for further in range(PARTY)):
            return port


if __name__ == "__main__":
    print(free_port())
