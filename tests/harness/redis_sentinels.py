"""Redis as larger plants run it: a master, replicas, and Sentinels that name another master when it dies."""

from __future__ import annotations

import pathlib
from typing import Any

import redis as client

from tests.harness.process import Process, free_port, wait_for
from tests.harness.redis import SERVER, Redis


class Sentinels:
    """A master, its replicas and the Sentinels that watch them as `plant`; with certificates all of them speak TLS."""

    def __init__(self, directory: pathlib.Path, servers: int = 3, sentinels: int = 3, *,
                 certificates: pathlib.Path | None = None, password: str = "", settings: tuple[str, ...] = ()):
        """`certificates` holds ca.pem, server.pem and server.key; `password` and `settings` are the Sentinels'."""
        self.tls = {"tls-cert-file": str(certificates / "server.pem"), "tls-key-file": str(certificates / "server.key"),
                    "tls-ca-cert-file": str(certificates / "ca.pem"), "tls-replication": "yes"} if certificates else {}
        self.password = password
        self.servers: list[Redis] = []
        self.server_ports: list[int] = []  # of TLS, where it is spoken
        for number in range(servers):
            words = ["--min-replicas-max-lag", "2", "--repl-diskless-sync-delay", "0"]
            port = free_port()
            if self.tls:
                words += ["--tls-port", str(port)]
                for name, value in self.tls.items():
                    words += [f"--{name}", value]
            server = Redis(directory / f"redis{number}", *words).start()
            self.servers.append(server)
            self.server_ports.append(port if self.tls else server.port)
        self._replicate()
        self.ports = [free_port() for _ in range(sentinels)]
        self.processes = [self._sentinel(directory / f"sentinel{number}", port, settings)
                          for number, port in enumerate(self.ports)]
        wait_for("the Sentinels know one another and the replicas", lambda: all(
            (seen := self.seen(port))["num-other-sentinels"] == str(sentinels - 1)
            and seen["num-slaves"] == str(servers - 1) for port in self.ports))

    def _replicate(self) -> None:
        for replica in self.servers[1:]:
            replica.client.execute_command("REPLICAOF", "127.0.0.1", self.server_ports[0])
        wait_for("the replicas are there", lambda: all(
            server.client.info("replication")["master_link_status"] == "up" for server in self.servers[1:]))
        if len(self.servers) > 1:
            for server in self.servers:
                server.client.config_set("min-replicas-to-write", 1)

    def _sentinel(self, folder: pathlib.Path, port: int, settings: tuple[str, ...]) -> Process:
        folder.mkdir()
        lines = [f"port {0 if self.tls else port}", "bind 127.0.0.1", f"dir {folder}"]
        lines += [f"tls-port {port}"] if self.tls else []
        lines += [f"{name} {value}" for name, value in self.tls.items()]
        lines += [f"requirepass {self.password}"] if self.password else []
        lines += [f"sentinel monitor plant 127.0.0.1 {self.server_ports[0]} {len(self.ports) // 2 + 1}",
                  "sentinel down-after-milliseconds plant 1000", "sentinel failover-timeout plant 10000", *settings]
        file = folder / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n")
        return Process(folder.name, [SERVER, str(file), "--sentinel"], folder / "log").start()

    def seen(self, port: int) -> dict[str, str]:
        """What the Sentinel at this port says of the master."""
        words: dict[str, Any] = {"port": port, "decode_responses": True, "password": self.password or None}
        if self.tls:
            words |= {"ssl": True, "ssl_certfile": self.tls["tls-cert-file"], "ssl_keyfile": self.tls["tls-key-file"],
                      "ssl_ca_certs": self.tls["tls-ca-cert-file"]}
        try:
            answer = client.Redis(host="127.0.0.1", **words).execute_command("SENTINEL", "MASTER", "plant")
        except client.RedisError as error:
            raise RuntimeError(str(error)) from error
        if isinstance(answer, dict):
            return {key: str(value) for key, value in answer.items()}
        return dict(zip(answer[::2], answer[1::2], strict=True))

    def url(self, user: str = "") -> str:
        """`user` is NAME:PASSWORD of the servers."""
        places = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"sentinel{'s' if self.tls else ''}://{user}{'@' if user else ''}{places}/plant"

    def level(self) -> None:
        """Wait until the replicas have all that the master has."""

        def is_level() -> bool:
            master = self.servers[0].client.info("replication")
            return all(master[f"slave{number}"]["offset"] == master["master_repl_offset"]
                       for number in range(len(self.servers) - 1))

        wait_for("the replicas are level", is_level)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for server in self.servers:
            server.stop()
