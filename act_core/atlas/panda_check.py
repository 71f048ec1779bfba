"""Whether PanDA is there, and takes us for who we must be: asked at the start, then rarely, and soon after refusals."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.atlas.instance import panda_aside, server_of
from act_core.atlas.reports import Attributes
from act_core.db.ledger import NOBODY, Line
from act_core.db.policy_models import Standing
from act_core.errors import ActError, ConfigError, CredentialError
from act_core.logs import log
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.words import clean, redact

logger = log(__name__)
WELL, TROUBLED = timedelta(hours=6), timedelta(minutes=2)
_LONGEST = 300  # characters of PanDA's words


class Asked:
    """When this process last asked; losing it costs a request."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    async def close(self) -> None:
        """Nothing is open."""


async def due(rt: Runtime) -> Sequence[str]:
    """One key, the server, when it is time to ask."""
    if only_handed(rt.settings):
        return []
    asked = rt.kept(Asked, lambda _settings: Asked(), of=_as_whom)
    if asked.at is not None and rt.now() - asked.at < TROUBLED:
        return []
    if asked.at is not None and rt.now() - asked.at < WELL and await rt.read(trouble, server_of(rt)) is None:
        return []
    return [server_of(rt)]


def _as_whom(settings: Settings) -> object:
    """Of another server, or as somebody else, we ask anew."""
    return settings.app.panda, settings.arc.voms


def only_handed(settings: Settings) -> bool:
    """Whether all jobs come from a Harvester: a tower that is nobody for PanDA then has nothing to say to it."""
    panda = settings.app.panda
    known = panda.tokenfile or panda.proxy or settings.arc.voms.vo or settings.arc.voms.proxypath
    return bool(settings.app.cric.handedby) and known is None


def trouble(session: Session, server: str) -> Standing | None:
    """What is wrong between PanDA and us, as far as it is known."""
    return session.get(Standing, (Topic.PANDA.value, NOBODY, server, 0))


def no_role(session: Session, server: str) -> bool:
    """Whether PanDA says that we lack the production role: what is taken from it could never be reported."""
    found = trouble(session, server)
    return found is not None and found.code == Reason.PANDA_NO_ROLE.value


def line_of(server: str, said: Attributes | ActError) -> Line:
    """What PanDA says of us, or why it says nothing, as a line of the ledger."""
    if isinstance(said, Attributes) and said.production:
        return Line(Topic.PANDA, None, share=server)
    if isinstance(said, Attributes):
        roles = ", ".join(said.fqans) or "no role at all"
        facts = {"dn": clean(said.dn)[:_LONGEST] or "nobody", "roles": clean(roles)[:_LONGEST]}
        return Line(Topic.PANDA, Reason.PANDA_NO_ROLE, share=server, facts=facts)
    ours = isinstance(said, CredentialError | ConfigError)
    facts = {"words": clean(redact(str(said)))[:_LONGEST]}
    return Line(Topic.PANDA, Reason.PANDA_REFUSES if ours else Reason.PANDA_AWAY, share=server, facts=facts)


async def ask(rt: Runtime, server: str) -> Counts:
    """Ask PanDA who we are. What is wrong is told in the ledger and the log, not raised: reports go on regardless."""
    rt.kept(Asked, lambda _settings: Asked(), of=_as_whom).at = rt.now()
    said: Attributes | ActError
    try:
        said = await panda_aside(rt).attributes()
    except ActError as err:
        said = err
    line = line_of(server, said)
    await _tell(rt, line)
    return Counts({"PanDA in trouble": 1} if line.reason else {})


async def refused(rt: Runtime, err: ActError) -> None:
    """PanDA refused a call for who we are: it is asked soon, by whichever process asks."""
    if isinstance(err, CredentialError) and await rt.read(trouble, server_of(rt)) is None:
        await _tell(rt, line_of(server_of(rt), err))


async def _tell(rt: Runtime, line: Line) -> None:
    held = await rt.read(trouble, line.share)
    if (held.code if held else "") == line.code:
        return
    await rt.note([line])
    if line.reason is None:
        logger.info("%s is well, and takes us for a production manager", line.share)
    elif line.reason is Reason.PANDA_NO_ROLE:
        logger.error("%s gives us no production role (%s): no jobs are taken", line.share, line.facts["roles"])
    else:
        logger.error("%s: %s: %s", line.share, line.reason, line.facts["words"])
