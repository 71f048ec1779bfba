"""What `make bench` measures, in which order: each line a program of its own."""

from dataclasses import dataclass

PARTS = ("engine", "sweep", "tower", "latency", "clock")
ALONE = ("day",)  # only where it is named
SERVER = "SERVER"  # in an option: the URL of MariaDB


@dataclass(frozen=True, slots=True)
class Line:
    """`quick`: options instead of those of the same name, with small numbers. `most_s`: after which it is given up."""

    part: str
    name: str
    module: str
    options: dict[str, str]
    quick: dict[str, str]
    most_s: float = 600.0

    def words(self, quick: bool, server: str | None) -> list[str]:
        """Its command line after the interpreter. Raises LookupError: it wants a MariaDB and there is none."""
        chosen = self.options | (self.quick if quick else {})
        if SERVER in chosen.values() and server is None:
            raise LookupError
        pairs = [(f"--{name}", server if value == SERVER and server else value) for name, value in chosen.items()]
        return ["-m", self.module, *(word for pair in pairs for word in pair if word), "--json"]


def _engine(database: str, two_phase: str, jobs: int, wire: bool) -> Line:
    where = "SQLite" if database == "sqlite" else "MariaDB"
    options = {"database": database, "two-phase": two_phase, "jobs": str(jobs)} | ({"wire": ""} if wire else {})
    name = f"{where}, two-phase {two_phase}, {jobs} jobs"
    return Line("engine", name, "benchmarks.engine", options, {"jobs": str(jobs // 20)})


LINES = (
    *(
        _engine(database, two_phase, jobs, wire=jobs == 2000)
        for jobs, phases in ((2000, ("on", "off")), (10_000, ("on",)))
        for database in (SERVER, "sqlite")
        for two_phase in phases
    ),
    Line(
        "sweep",
        "100,000 jobs on 100 CEs",
        "benchmarks.sweep",
        {"database": SERVER, "live": "100000", "ces": "100", "archived": "1000000"},
        {"live": "2000", "ces": "20", "archived": "20000"},
    ),
    Line(
        "tower",
        "10 CEs with 200 jobs",
        "benchmarks.tower",
        {"database": SERVER, "ces": "10", "jobs": "200", "insertions": "5"},
        {"ces": "2", "jobs": "20", "insertions": "2"},
    ),
    Line(
        "tower",
        "1 CE with 1,000 jobs",
        "benchmarks.tower",
        {"database": SERVER, "ces": "1", "jobs": "1000", "insertions": "5"},
        {"jobs": "50", "insertions": "2"},
    ),
    Line(
        "latency",
        "3 jobs/s, PanDA to PanDA",
        "benchmarks.day",
        {"database": SERVER, "rate": "3", "seconds": "60", "part": "latency"},
        {"rate": "2", "seconds": "15"},
    ),
    Line(
        "clock",
        "100 CEs, 200 queues",
        "benchmarks.clock",
        {"database": SERVER, "ces": "100", "queues": "200", "minutes": "2"},
        {"ces": "10", "queues": "20", "jobs": "5", "minutes": "1"},
    ),
    Line(
        "day",
        "11.6 jobs/s for 15 minutes",
        "benchmarks.day",
        {"database": SERVER, "rate": "11.6", "seconds": "900"},
        {"rate": "2", "seconds": "15"},
        most_s=1800.0,
    ),
)
