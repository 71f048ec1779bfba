"""`python -m act_core.web [HOST PORT]`: the page alone, as `act up` starts it."""

import sys

from act_core import logs
from act_core.errors import ActError
from act_core.settings import load_settings
from act_core.web.serving import check, serve


def main(words: list[str]) -> int:
    try:
        settings = load_settings().settings
        host = words[0] if words else settings.arc.web.host
        port = int(words[1]) if words[1:] else settings.arc.web.port
        check(settings, host)
        logs.configure(settings.arc.logger, settings.state_dir)
        serve(settings, host, port)
    except ActError as err:
        sys.stderr.write(f"{err}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
