"""The `hutong` command. Each command is a file, imported when it is called."""

import os
import sys

OK, FINDINGS, USAGE, UNAVAILABLE = 0, 1, 2, 3


def main() -> None:
    """Run `hutong`. Exit codes: 0 ok, 1 findings, 2 usage, 3 unavailable."""
    from gateway.cli.names import foreign_owner
    from gateway.cli.speech import show_error
    from terminology.issues import FhirError

    owner = foreign_owner()
    if owner is not None:
        show_error(owner)
        sys.exit(UNAVAILABLE)
    from gateway.cli.commands import run

    try:
        sys.exit(run(sys.argv[1:]))
    except FhirError as error:
        show_error(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our pipe has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)


def exit_code(error: Exception) -> int:
    """Return 3 for what is out of reach, 2 for what the caller gave wrong."""
    from terminology.issues import BusinessRule, Unavailable

    return UNAVAILABLE if isinstance(error, (Unavailable, BusinessRule)) else USAGE
