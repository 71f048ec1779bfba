"""When a credential is made anew, and whether what came out is what was asked for. No I/O."""

from datetime import datetime, timedelta

from act_core.credentials.values import Bearer, Credential
from act_core.settings.policy import Token, Voms

SOON = timedelta(minutes=25)  # the stage comes by every ten minutes, and may fail twice
SLACK = timedelta(minutes=10)  # of a lifetime that was asked for


def proxy_due(left: timedelta, granted: timedelta | None, least: timedelta) -> bool:
    """Whether a proxy with so much left is made anew. `granted`: what its server gave it; None: nobody knows.

    A server that grants less than `least` is not asked again until an eighth of that is over.
    """
    return left < (least if granted is None else min(least, granted * 7 / 8))


def token_due(left: timedelta, granted: timedelta | None) -> bool:
    """At half of its life, and before the stage might come too late."""
    return left < max(SOON, granted / 2 if granted else SOON)


def fqan_of(voms: Voms, role: str | None) -> str:
    """`/atlas/Role=production`; without a role the VO itself. A role may be written as a whole FQAN."""
    if role is None:
        return f"/{voms.vo}"
    return role if role.startswith("/") else f"/{voms.vo}/Role={role}"


def unfit(made: Credential, fqan: str, subject: str, now: datetime, used: Credential | None) -> str | None:
    """Why a fresh proxy does not take the place of the one in use; None: it does."""
    if made.subject != subject:
        return f"it is {made.subject}'s, not {subject}'s"
    if not made.roles:
        return f"it carries no VOMS attributes: {fqan} was asked for"
    if made.roles[0] != fqan:
        return f"its first role is {made.roles[0]}: {fqan} was asked for"
    if made.expires <= now:
        return "it has ended already"
    if used and used.expires > max(now, made.expires) and (used.subject, used.roles[:1]) == (subject, (fqan,)):
        return f"it ends before the one in use: {made.expires:%Y-%m-%d %H:%M} UTC"
    return None


def short(made: Credential, source_until: datetime, lifetime: timedelta, now: datetime) -> str | None:
    """What is to be said of a good proxy that lives less than was asked for; None: nothing."""
    left = made.expires - now
    if left >= lifetime - SLACK:
        return None
    if source_until <= made.expires:
        return f"it ends with what it is made from (voms.proxypath), on {source_until:%Y-%m-%d %H:%M} UTC: renew that"
    return f"the VOMS server gives it {hours(left)} of the {hours(lifetime)} that were asked for"


def unfit_token(made: Bearer, token: Token, now: datetime) -> str | None:
    """Why a fresh token is not used; None: it is. One that names no scopes or audience is left to its readers."""
    if made.expires <= now:
        return "it has ended already"
    if made.scopes and (missing := sorted(set(token.scopes) - set(made.scopes))):
        return f"it lacks the scopes {', '.join(missing)}"
    if made.audience and token.audience and token.audience not in made.audience:
        return f"its audience is {', '.join(made.audience)}, not {token.audience}"
    return None


def hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.3g} h"
