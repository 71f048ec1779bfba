"""What another configuration changes, key by key and with its place. Secrets are compared and never shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from act_core.settings.explain import in_words, leaves, plain
from act_core.settings.model import Settings

RESTART = ("db", "prefect", "logger.logdir", "state_dir")  # what a tower that is up cannot take over
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One key. `before`, `after`: in words; None: it was not there, it is there no more."""

    key: str
    before: str | None
    after: str | None
    where: str  # file:line, $VARIABLE or `defaults`

    @property
    def restart(self) -> bool:
        """Whether it holds only from the next start on."""
        return any(self.key == one or self.key.startswith(f"{one}.") for one in RESTART)

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.key}: new: {self.after} ({self.where})"
        if self.after is None:
            return f"{self.key}: gone (it was {self.before})"
        told = "another value, not shown" if self.before == self.after else f"{self.before} → {self.after}"
        return f"{self.key}: {told} ({self.where})"


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """All keys whose value differs; of a section that comes or goes, the keys that are set."""
    before, after = _values(old), _values(new)
    found = list(_members(old, new))
    for key in dict.fromkeys((*after, *before)):
        was, now = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if was == now or (_ABSENT in (was, now) and key not in (old if now is _ABSENT else new).lines):
            continue
        found.append(Change(key, _words(key, was), _words(key, now), new.where(key)))
    return tuple(found)


def _words(key: str, value: Any) -> str | None:
    return None if value is _ABSENT else in_words(plain(value, key.rpartition(".")[2]))


def _values(settings: Settings) -> dict[str, Any]:
    return {"state_dir": settings.state_dir} | {key: value for _, key, value in leaves(settings) if value != {}}


def _members(old: Settings, new: Settings) -> Iterator[Change]:
    """CEs, queues and the like that come or go with nothing set in them."""
    sections: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("sites", old.arc.sites, new.arc.sites),
        ("tokens", old.arc.tokens, new.arc.tokens),
        ("panda.sites", old.app.panda.sites, new.app.panda.sites),
        ("instances", old.app.instances, new.app.instances),
    )
    for section, was, now in sections:
        for name in sorted(was.keys() ^ now.keys()):
            key = f"{section}.{name}"
            there = "a section" if name in now else None
            yield Change(key, None if there else "a section", there, new.where(key))


def in_force(held: Settings, fresh: Settings) -> Settings:
    """The fresh configuration, but for what a tower that is up cannot take over: that stays as it is held."""
    logger = fresh.arc.logger.model_copy(update={"logdir": held.arc.logger.logdir})
    arc = fresh.arc.model_copy(update={"db": held.arc.db, "prefect": held.arc.prefect, "logger": logger})
    return fresh.model_copy(update={"arc": arc, "state_dir": held.state_dir})
